//! Where the fields of trace events are, from the kernel's own description of their formats
//! ([`Documentation/trace/events.rst`](https://docs.kernel.org/trace/events.html)).

use std::{fs, path::Path};

use lineage_common::layout::Derived;

use super::ProbeError;

/// Where tracefs is mounted, the usual place first.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Completes the layout with the field of an optional probe, where the kernel has the event.
pub(super) fn resolve_optional(derived: &mut Derived) {
    let path = |place: &&str| format!("{place}/events/io_uring/io_uring_submit_req/format");
    let format = PLACES
        .iter()
        .find_map(|place| fs::read_to_string(path(place)).ok());
    if let Some(found) = format.and_then(|format| offset(&format, "u8 opcode")) {
        derived.event_opcode = found;
    }
}

/// Completes the layout with the fields the guarded entry points read.
pub(super) fn resolve(derived: &mut Derived) -> Result<(), ProbeError> {
    let root = PLACES
        .iter()
        .map(Path::new)
        .find(|place| place.join("events").is_dir())
        .ok_or(ProbeError::NoTracefs { path: PLACES[0] })?;
    let field = |event: &'static str, declaration: &'static str| {
        let path = root.join("events").join(event).join("format");
        let format = fs::read_to_string(path).map_err(|_| ProbeError::NoEvent { event })?;
        offset(&format, declaration).ok_or(ProbeError::Event { event, declaration })
    };
    // The probe has these two as constants: it reads them at every system call of the host.
    for (declaration, expected) in [("long id", 8), ("long ret", 16)] {
        let event = "raw_syscalls/sys_exit";
        if field(event, declaration)? != expected {
            return Err(ProbeError::Event { event, declaration });
        }
    }
    derived.event_child_pid = field("sched/sched_process_fork", "pid_t child_pid")?;
    derived.event_filename = field("sched/sched_process_exec", "__data_loc char[] filename")?;
    derived.event_interp = field("sched/sched_prepare_exec", "__data_loc char[] interp")?;
    Ok(())
}

/// Offset of a field by its declaration.
fn offset(format: &str, declaration: &str) -> Option<u32> {
    let fields = format
        .lines()
        .filter_map(|line| line.trim().strip_prefix("field:"));
    let rest = fields
        .filter_map(|field| field.strip_prefix(declaration))
        .find_map(|rest| rest.strip_prefix(';'))?;
    let offset = rest.trim().strip_prefix("offset:")?.split(';').next()?;
    offset.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_declaration() {
        let format = "name: sched_process_fork\nID: 321\nformat:\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:__data_loc char[] child_comm;\toffset:16;\tsize:4;\tsigned:0;\n\
            \tfield:pid_t child_pid;\toffset:20;\tsize:4;\tsigned:1;\n\n\
            print fmt: \"child_pid=%d\", REC->child_pid\n";
        assert_eq!(offset(format, "pid_t child_pid"), Some(20));
        assert_eq!(offset(format, "__data_loc char[] child_comm"), Some(16));
        assert_eq!(offset(format, "pid_t child"), None);
        assert_eq!(offset(format, "pid_t parent_pid"), None);
    }
}
