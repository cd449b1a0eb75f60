//! Interactive programs under `lineage record`: the terminal, Ctrl-C and job control work as without.

use lineage_tests::recorder::Recorder;
use lineage_tests::terminal::Terminal;
use lineage_tests::{programs, wait};
use serde_json::json;

#[test]
fn a_shell_with_job_control() {
    let recorder = Recorder::new();
    let mut command = recorder.command();
    // No start-up files: they would be the machine's, and some change the prompt.
    command
        .env("PS1", "ready> ")
        .env("ENV", "")
        .env("TERM", "dumb")
        .env("HISTFILE", "");
    command.args(["--quiet", "--", "/bin/sh", "-i"]);
    let actor = programs::ACTOR.display();
    let mut terminal = Terminal::run(command).expect("a terminal");
    terminal.until("ready> ");
    terminal.type_in("echo $((6 * 7)); test -t 0 && echo still a terminal\n");
    terminal.until("42\r\n");
    terminal.until("still a terminal\r\n");
    // Ctrl-C ends the program in the foreground, not the shell and not the recorder.
    terminal.type_in(&format!("{actor} print running pause\n"));
    terminal.until("running\r\n");
    terminal.type_in("\x03");
    terminal.until("ready> ");
    terminal.type_in("echo status=$?\n");
    terminal.until("status=130\r\n");
    // Ctrl-Z stops one, and the shell takes the terminal back.
    terminal.type_in(&format!("{actor} print running pause\n"));
    terminal.until("running\r\n");
    terminal.type_in("\x1a");
    terminal.until("ready> ");
    terminal.type_in("jobs; kill -9 %1; fg; echo status=$?\n");
    terminal.until("Stopped");
    terminal.until("status=137\r\n");
    terminal.type_in("exit 5\n");
    let status = wait::exit("the recorder", &mut terminal.child);
    assert_eq!(status.code(), Some(5));

    let output = std::process::Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let run = recorder.finish(output);
    run.rows.only("process.exit", &json!({ "exit_signal": 2 }));
    run.rows.only("process.exit", &json!({ "exit_signal": 9 }));
    run.rows.only("process.exit", &json!({ "exit_code": 5 }));
}
