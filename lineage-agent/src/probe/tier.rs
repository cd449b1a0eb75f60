//! Which tiers of enforcement a host has.

use aya::{
    programs::{LsmAttachType, ProgramType},
    sys::is_program_supported,
};
use lineage_common::tier::Tier;

/// Where the active security modules are told.
const MODULES: &str = "/sys/kernel/security/lsm";

/// Why a tier is not to be had here, as far as that can be told beforehand.
///
/// # Errors
///
/// The reason, in words that read after "because".
pub(super) fn available(tier: Tier) -> Result<(), String> {
    match tier {
        Tier::Trace => Ok(()),
        Tier::Fexit => supported(ProgramType::Tracing),
        Tier::Lsm => {
            // Where it cannot be read, an attempt tells.
            let modules = std::fs::read_to_string(MODULES).unwrap_or_default();
            let named = modules.trim().split(',').any(|module| module == "bpf");
            if !modules.is_empty() && !named {
                return Err(format!(
                    "the security module bpf is not active: start the kernel with `lsm={},bpf` on its command line",
                    modules.trim()
                ));
            }
            supported(ProgramType::Lsm(LsmAttachType::Mac))
        }
    }
}

/// Whether the kernel takes programs of a type, and attaches them.
fn supported(program: ProgramType) -> Result<(), String> {
    match is_program_supported(program) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the kernel has no such programs".to_owned()),
        Err(error) => {
            let error = anyhow::Error::new(error);
            Err(format!("the kernel refuses such programs: {error:#}"))
        }
    }
}
