//! Every probe passes the verifier of the running kernel and is attached.

use lineage_agent::probe::{Options, Probes};

#[test]
fn the_kernel_takes_every_probe() {
    if let Err(error) = Probes::load(&Options::default()) {
        panic!("{error}: {error:?}");
    }
}
