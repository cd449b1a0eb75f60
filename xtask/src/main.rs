//! Developer tasks, run as `cargo xtask TASK`.
//!
//! Each task does all of its own set-up, says what it does and why, is quick the second time, and
//! keeps everything it makes under `target/`. One file holds one task; `sh`, `paths` and `packages`
//! are what the tasks share.

mod bench;
mod bless;
mod build;
mod ci;
mod cross;
mod demo;
mod packages;
mod paths;
mod programs;
mod python;
mod setup;
mod sh;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask TASK [OPTIONS]

  setup    find or install what the probes need to be compiled
  build    probes and agent; leaves the binary at target/release/lineage
  demo     record an AI agent, show what it did, verify the evidence; needs root
  test     every test, on the live kernel and in virtual machines; needs root
             [--no-vm] [-- CARGO TEST ARGUMENTS]
  programs git, pip, npm, node and others, recorded and compared with strace; needs root and the
           package registries
             [-- TEST ARGUMENTS]
  vm       the kernel tests on the supported kernels, in QEMU
             [--kernel 6.1|6.12|newest]... [--arch x86_64|aarch64] [-- TEST ARGUMENTS]
  bench    what recording costs, and whether the budgets are met; needs root
             [PART]... [OPTIONS], see `bench --help`
  bless    rewrite generated documents and the expected outputs of golden tests
  tidy     what the compiler does not check: layers, sizes, links
  ci       formatting, lints, documentation, then programs and tests

Everything a task makes, downloads or logs is under target/.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((task, rest)) = args.split_first().filter(|_| !asks_for_help(args)) else {
        println!("{}", help(args));
        return Ok(());
    };
    match task.as_str() {
        "setup" => setup::run(rest),
        "bench" => bench::run(rest),
        "bless" => bless::run(rest),
        "build" => build::run(rest),
        "demo" => demo::run(rest),
        "tidy" => tidy::run(rest),
        "programs" => programs::run(rest),
        "test" => test::run(rest),
        "vm" => vm::run(rest),
        "ci" => ci::run(rest),
        other => bail!("no task is named `{other}`; `cargo xtask help` lists them"),
    }
}

/// The usage of a task that has one of its own, otherwise of all tasks.
fn help(args: &[String]) -> &'static str {
    if args.iter().any(|arg| arg == "bench") {
        bench::HELP
    } else {
        HELP
    }
}

/// Whether the usage is wanted, of all tasks or of one. What follows `--` is
/// meant for another program.
fn asks_for_help(args: &[String]) -> bool {
    let mut ours = args.iter().take_while(|arg| *arg != "--");
    args.first().is_some_and(|task| task == "help")
        || ours.any(|arg| matches!(arg.as_str(), "--help" | "-h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_ours_up_to_the_separator() {
        let asks = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            asks_for_help(&words)
        };
        for line in [
            "help",
            "--help",
            "-h",
            "help vm",
            "vm --help",
            "test --no-vm -h",
        ] {
            assert!(asks(line), "{line}");
        }
        for line in ["", "test", "test -- --help", "vm --kernel 6.1 -- help"] {
            assert!(!asks(line), "{line}");
        }
    }
}
