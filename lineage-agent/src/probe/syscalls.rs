//! Which system calls are recorded, by number, for each architecture.

use lineage_common::{
    calls::{self, Machine, SYSCALLS, Syscall},
    compat,
    layout::{Action, SYSCALLS_MAX},
    policy::Named,
};

/// What a probe does at the return of each system call, indexed by its number.
pub type Table = [Action; SYSCALLS_MAX];

/// Number of `io_uring_enter`, on every machine.
const RING: usize = 426;

/// The table for a machine; calls that are left out are like those that are never recorded.
#[must_use]
pub fn table(machine: Machine, left_out: &[&'static Syscall], governs: bool) -> Table {
    let mut table = [Action::NONE; SYSCALLS_MAX];
    for (action, name) in table.iter_mut().zip(compat::names(machine)) {
        if compat::recorded(name) {
            *action = Action::COMPAT_ONLY;
        }
    }
    for call in SYSCALLS {
        let left_out = left_out.iter().any(|left_out| left_out.name == call.name);
        if let Some(number) = machine.number(call).filter(|_| !left_out) {
            table[number] = call.action;
        }
    }
    if governs {
        table[RING] = Action::RING;
    }
    table
}

/// The facility that each system call uses, as a number of [`Named`], by its number.
#[must_use]
pub fn facilities(machine: Machine) -> [u8; SYSCALLS_MAX] {
    let mut table = [Named::NONE.0; SYSCALLS_MAX];
    for call in SYSCALLS {
        if let (Some(number), Some(facility)) = (machine.number(call), Named::of_call(call.name)) {
            table[number] = facility.0;
        }
    }
    table
}

/// What each system call does to the file that it names, indexed by its number; 0 for none.
#[must_use]
pub fn judged(machine: Machine) -> [u8; SYSCALLS_MAX] {
    let mut table = [0; SYSCALLS_MAX];
    for call in SYSCALLS {
        if let (Some(number), Some(operation)) = (machine.number(call), calls::judged(call.name)) {
            table[number] = operation.0;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_a_facility_is_a_recorded_one_and_of_one_only() {
        let calls = Named::FACILITIES.iter().flat_map(|(_, _, calls)| *calls);
        let mut names: Vec<_> = calls.collect();
        for name in &names {
            assert!(SYSCALLS.iter().any(|call| call.name == **name), "{name}");
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let number = |name| {
            let call = SYSCALLS.iter().find(|call| call.name == name).unwrap();
            Machine::X86_64.number(call).unwrap()
        };
        let table = facilities(Machine::X86_64);
        assert_eq!(table[number("bpf")], Named::BPF.0);
        assert_eq!(table[number("read")], Named::NONE.0);
    }

    #[test]
    fn every_number_is_in_the_table_once() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            let mut numbers: Vec<_> = SYSCALLS
                .iter()
                .filter_map(|call| machine.number(call))
                .collect();
            assert!(compat::names(machine).count() <= SYSCALLS_MAX);
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(numbers.iter().all(|number| *number < SYSCALLS_MAX));
        }
    }

    #[test]
    fn native_calls_win_over_compat_numbers() {
        let native = table(Machine::X86_64, &[], false);
        assert_eq!(native[3], Action::CLOSE);
        assert_eq!(native[59], Action::EXECVE);
        assert_eq!(native[5], Action::COMPAT_ONLY);
        assert_eq!(native[24], Action::NONE);
        assert_eq!(native[54], Action::COMPAT_ONLY);
        assert_eq!(table(Machine::Aarch64, &[], false)[221], Action::EXECVE);
    }

    #[test]
    fn what_is_left_out_is_looked_at_only_for_32_bit_programs() {
        let number_of = |name| {
            let call = SYSCALLS.iter().find(|call| call.name == name).unwrap();
            (call, Machine::X86_64.number(call).unwrap())
        };
        let ((chmod, at), (quotactl, other)) = (number_of("chmod"), number_of("quotactl_fd"));
        let [all, less] =
            [&[][..], &[chmod, quotactl]].map(|left_out| table(Machine::X86_64, left_out, false));
        let different = (0..SYSCALLS_MAX).filter(|number| all[*number] != less[*number]);
        assert_eq!(different.collect::<Vec<_>>(), [at, other]);
        // The 32-bit call of this number is `mmap`; of the other one there is the same call.
        assert_eq!(less[at], Action::COMPAT_ONLY);
        assert_eq!(less[other], Action::COMPAT_ONLY);
    }
}
