//! A C project that is the same on every machine.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::sh;

/// Source files, each with a header that some others include.
const FILES: usize = 300;
/// Headers of others that each file includes.
const INCLUDED: usize = 5;
/// Functions of a file: enough that a compiler is busy for as long as with a small file of a real project.
const FUNCTIONS: usize = 20;

const MAKEFILE: &str = "\
OUT ?= out
OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(wildcard *.c))

$(OUT)/program: $(OBJECTS)
\t$(CC) -o $@ $^

$(OUT)/%.o: %.c
\t@mkdir -p $(OUT)
\t$(CC) -O1 -c -o $@ $<
";

/// Writes it, if it is not there.
pub(super) fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for number in 0..FILES {
        let header = format!("#pragma once\nint of_{number}(int);\n");
        sh::write_if_changed(&directory.join(format!("f{number}.h")), header.as_bytes())?;
        let source = source(number)?;
        sh::write_if_changed(&directory.join(format!("f{number}.c")), source.as_bytes())?;
    }
    sh::write_if_changed(&directory.join("Makefile"), MAKEFILE.as_bytes())?;
    Ok(())
}

fn source(number: usize) -> Result<String> {
    let others = (1..=INCLUDED).map(|step| (number + step * step) % FILES);
    let mut text = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n".to_owned();
    for other in others.clone() {
        writeln!(text, "#include \"f{other}.h\"")?;
    }
    for function in 0..FUNCTIONS {
        writeln!(
            text,
            "static int g{function}(int a) {{ char b[64]; snprintf(b, sizeof b, \"%d\", a + {number}); \
             for (int i = 0; i < a; i++) a ^= (int)strlen(b) * {function}; return a; }}"
        )?;
    }
    let calls: Vec<String> = (0..FUNCTIONS)
        .map(|function| format!("g{function}(a)"))
        .collect();
    writeln!(
        text,
        "int of_{number}(int a) {{ return {}; }}",
        calls.join(" + ")
    )?;
    if number == 0 {
        let sum: Vec<String> = others.map(|other| format!("of_{other}(argc)")).collect();
        writeln!(
            text,
            "int main(int argc, char **argv) {{ (void)argv; return {}; }}",
            sum.join(" + ")
        )?;
    }
    Ok(text)
}
