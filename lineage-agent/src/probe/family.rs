//! Who descends from whom. Pure: from lists, not from the system.

use std::collections::{HashMap, HashSet};

use lineage_common::task::{Link, Listed};

/// Processes of `listed` that descend from one of `members` and are none of them, and `links`
/// where the list does not say it: a process that lost its parent while the agent attached is
/// listed as a child of somebody else.
///
/// Processes that are over are only on the way to others, and so are those that are or were tracked:
/// one that ended since the list was made is no member any more, and no newcomer.
pub(super) fn newcomers(
    listed: &[Listed],
    links: &HashMap<u32, Link>,
    members: &HashSet<u32>,
) -> Vec<Listed> {
    let parents: HashMap<u32, u32> = listed.iter().map(|p| (p.pid, p.parent)).collect();
    let starts: HashMap<u32, u64> = listed.iter().map(|p| (p.pid, p.start)).collect();
    let mut belongs: HashMap<u32, bool> = members.iter().map(|pid| (*pid, true)).collect();
    let mut found = Vec::new();
    for process in listed {
        let was_tracked = links
            .get(&process.pid)
            .is_some_and(|link| link.start == process.start && link.tracked != 0);
        if process.live != 0
            && !was_tracked
            && !members.contains(&process.pid)
            && descends(process.pid, &parents, &starts, links, &mut belongs)
        {
            found.push(*process);
        }
    }
    found.sort_unstable_by_key(|process| (process.start, process.pid));
    found
}

/// Whether `pid` descends from a process that belongs. `belongs` keeps what is known, and what is
/// being looked at counts as not belonging, so a circle ends.
fn descends(
    pid: u32,
    parents: &HashMap<u32, u32>,
    starts: &HashMap<u32, u64>,
    links: &HashMap<u32, Link>,
    belongs: &mut HashMap<u32, bool>,
) -> bool {
    let mut waiting = vec![pid];
    // Depth-first without recursion: chains of processes can be long.
    while let Some(&pid) = waiting.last() {
        let link = links
            .get(&pid)
            // A link of an earlier process with the same id says nothing of this one.
            .filter(|link| starts.get(&pid).is_none_or(|start| *start == link.start));
        let ancestors = [parents.get(&pid).copied(), link.map(|link| link.parent)];
        let mut answer = false;
        let mut unknown = None;
        for parent in ancestors.into_iter().flatten() {
            match belongs.get(&parent) {
                Some(true) => answer = true,
                Some(false) => {}
                None => unknown = Some(parent),
            }
        }
        match unknown {
            Some(parent) if !answer => {
                belongs.insert(pid, false);
                belongs.insert(parent, false);
                waiting.push(parent);
            }
            _ => {
                belongs.insert(pid, answer);
                waiting.pop();
            }
        }
    }
    belongs.get(&pid).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pid: u32, parent: u32, live: u32) -> Listed {
        Listed {
            start: u64::from(pid) * 10,
            pid,
            parent,
            live,
            ns_pid: pid,
            pid_ns: 1,
            lineage: 0,
            tracked: 0,
        }
    }

    fn link(pid: u32, parent: u32) -> (u32, Link) {
        let link = Link {
            start: u64::from(pid) * 10,
            parent,
            tracked: 0,
        };
        (pid, link)
    }

    fn found(list: &[Listed], links: &[(u32, Link)], members: &[u32]) -> Vec<u32> {
        let links = links.iter().copied().collect();
        let members = members.iter().copied().collect();
        newcomers(list, &links, &members)
            .iter()
            .map(|process| process.pid)
            .collect()
    }

    #[test]
    fn children_and_grandchildren() {
        let list = [
            listed(9, 8, 1),
            listed(8, 7, 1),
            listed(7, 1, 1),
            listed(6, 1, 1),
        ];
        assert_eq!(found(&list, &[], &[7]), [8, 9]);
        assert_eq!(found(&list, &[], &[6]), [] as [u32; 0]);
    }

    #[test]
    fn an_orphan_is_found_by_its_link() {
        // 8 ended; its child 9 is listed under init, but links say 9 ← 8 ← 7.
        let list = [listed(7, 1, 1), listed(9, 1, 1)];
        assert_eq!(found(&list, &[link(9, 8), link(8, 7)], &[7]), [9]);
        assert_eq!(found(&list, &[link(9, 8)], &[7]), [] as [u32; 0]);
    }

    #[test]
    fn a_link_of_an_earlier_process_is_not_believed() {
        let list = [listed(7, 1, 1), listed(9, 1, 1)];
        let stale = Link {
            start: 1,
            parent: 7,
            tracked: 0,
        };
        assert_eq!(found(&list, &[(9, stale)], &[7]), [] as [u32; 0]);
    }

    #[test]
    fn who_was_tracked_is_no_newcomer() {
        let list = [listed(7, 1, 1), listed(8, 7, 1), listed(9, 8, 1)];
        let (pid, mut link) = link(8, 7);
        link.tracked = 1;
        assert_eq!(found(&list, &[(pid, link)], &[7]), [9]);
    }

    #[test]
    fn the_dead_lead_to_the_living() {
        let list = [listed(7, 1, 1), listed(8, 7, 0), listed(9, 8, 1)];
        assert_eq!(found(&list, &[], &[7]), [9]);
    }

    #[test]
    fn a_circle_ends() {
        let list = [listed(5, 6, 1), listed(6, 5, 1)];
        assert_eq!(found(&list, &[], &[7]), [] as [u32; 0]);
    }

    #[test]
    fn a_second_way_counts_when_the_first_leads_nowhere() {
        let list = [listed(7, 1, 1), listed(9, 4, 1), listed(4, 1, 1)];
        assert_eq!(found(&list, &[link(9, 8), link(8, 7)], &[7]), [9]);
    }
}
