//! How a person names one event: by the `seq` of its record, and its host where evidence has several.

use std::str::FromStr;

use crate::evidence::error::Error;
use crate::evidence::reader::{Evidence, Host};
use crate::evidence::record::Owned;

/// The name of one event: `4711`, or `9f3c:4711` with the beginning of the host's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName {
    /// How the id of the host begins; `None` means the only host.
    pub host: Option<String>,
    /// [`Record::seq`](crate::evidence::schema::Record::seq)
    pub seq: u64,
}

/// Why there is no such event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The host has no such event.
    #[error("find event {seq} of host {host}: its records here end at {last}")]
    Unknown {
        /// The `seq` asked for.
        seq: u64,
        /// The host.
        host: String,
        /// The greatest `seq` there is.
        last: u64,
    },
    /// It should be there, and is not.
    #[error("find event {seq} of host {host}: the part of the evidence that had it is missing")]
    Missing {
        /// The `seq` asked for.
        seq: u64,
        /// The host.
        host: String,
    },
    /// Several hosts, and none named.
    #[error(
        "choose between the hosts of this evidence: name the event HOST:{seq}, where HOST begins one of {hosts}"
    )]
    Several {
        /// The `seq` asked for.
        seq: u64,
        /// Their ids.
        hosts: String,
    },
    /// A host that is not there.
    #[error("find a host whose id begins with {host}: there are {hosts}")]
    NoHost {
        /// What was asked for.
        host: String,
        /// The ids there are.
        hosts: String,
    },
    /// The evidence cannot be read.
    #[error("find the event: {0}")]
    Evidence(#[from] Error),
}

/// Most ids of hosts in a message.
const HOSTS_NAMED_MAX: usize = 4;

impl FromStr for EventName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, seq) = match text.rsplit_once(':') {
            Some((host, seq)) => (Some(host.strip_prefix("host=").unwrap_or(host)), seq),
            None => (None, text),
        };
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let host_fits = host.is_none_or(|host| !host.is_empty() && host.bytes().all(hex));
        match seq.parse() {
            Ok(seq) if host_fits => Ok(Self {
                host: host.map(str::to_owned),
                seq,
            }),
            _ => Err(
                "expected the number that `lineage ls` begins a line with, or HOST:NUMBER"
                    .to_owned(),
            ),
        }
    }
}

impl EventName {
    /// The host of the event.
    ///
    /// # Errors
    ///
    /// [`EventError::NoHost`], [`EventError::Several`]
    pub fn host<'a>(&self, evidence: &'a Evidence) -> Result<&'a Host, EventError> {
        let hosts = evidence.hosts();
        let start = self.host.as_deref().unwrap_or_default();
        let mut fitting = (hosts.iter()).filter(|host| host.id().to_string().starts_with(start));
        match (fitting.next(), fitting.next()) {
            (Some(host), None) => Ok(host),
            (Some(_), Some(_)) => Err(EventError::Several {
                seq: self.seq,
                hosts: ids(hosts),
            }),
            (None, _) => Err(EventError::NoHost {
                host: start.to_owned(),
                hosts: ids(hosts),
            }),
        }
    }

    /// The host of the event, and its record.
    ///
    /// # Errors
    ///
    /// [`EventError`]
    pub fn find<'a>(&self, evidence: &'a Evidence) -> Result<(&'a Host, Owned), EventError> {
        let host = self.host(evidence)?;
        let mut found = None;
        host.pick(&[self.seq], |record| {
            if record.seq == Some(self.seq) {
                found = Some(Owned::of(record));
            }
        })?;
        match found {
            Some(record) => Ok((host, record.map_err(Error::from)?)),
            None => Err(self.absent(host)?),
        }
    }

    /// Why the host has no such record.
    fn absent(&self, host: &Host) -> Result<EventError, Error> {
        let (seq, id) = (self.seq, host.id().to_string());
        Ok(match host.last_seq()? {
            Some(last) if last >= seq => EventError::Missing { seq, host: id },
            last => EventError::Unknown {
                seq,
                host: id,
                last: last.unwrap_or_default(),
            },
        })
    }
}

fn ids(hosts: &[Host]) -> String {
    let mut ids: Vec<_> = (hosts.iter().take(HOSTS_NAMED_MAX))
        .map(|host| host.id().to_string())
        .collect();
    if hosts.len() > HOSTS_NAMED_MAX {
        ids.push(format!("{} more", hosts.len() - HOSTS_NAMED_MAX));
    }
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_number_with_or_without_a_host() {
        let name = |text: &str| text.parse::<EventName>();
        let named = |host: Option<&str>, seq| {
            Ok(EventName {
                host: host.map(str::to_owned),
                seq,
            })
        };
        assert_eq!(name("4711"), named(None, 4711));
        assert_eq!(name("9f3c:0"), named(Some("9f3c"), 0));
        assert_eq!(name("host=9f3c:7"), named(Some("9f3c"), 7));
        for wrong in ["", ":7", "x:7", "9f:", "-1", "7:x", "18446744073709551616"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
