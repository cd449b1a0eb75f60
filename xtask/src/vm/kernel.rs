//! Kernels and the few programs of a virtual machine, from Debian's archive.
//!
//! A private apt root under `target/vm` reads releases other than the system's own, with the
//! system's mirror and keyring; the system's sources and packages stay as they are. Packages are
//! only unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, paths, sh};

/// Names a mirror on systems whose own sources hold none of Debian's.
const MIRROR_VARIABLE: &str = "LINEAGE_DEBIAN_MIRROR";

/// Debian's keys, which sign all its releases, in the two spellings of the file.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// A kernel that has been unpacked.
pub(crate) struct Kernel {
    /// What `uname -r` says on it.
    pub(crate) release: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// Parts of it that the tests need and that are not in the image.
    pub(crate) modules: Vec<PathBuf>,
}

/// Modules the tests need, below `kernel/` in a release's directory and without their endings. A kernel
/// that has them in its image has no such file.
const MODULES: [&str; 4] = [
    "drivers/block/loop",
    "drivers/net/tun",
    "fs/overlayfs/overlay",
    "net/vmw_vsock/vsock",
];

/// The kernel of a Debian release (`bookworm`), downloaded once.
pub(crate) fn kernel(suite: &str, arch: &str) -> Result<Kernel> {
    let dir = paths::target("vm").join(format!("kernel-{suite}-{arch}"));
    let beside = paths::target("vm").join(format!("kernel-{suite}-{arch}-modules"));
    if let Some(found) = unpacked(&dir, &beside) {
        return Ok(found);
    }
    let root = AptRoot::ready(suite, arch)?;
    let meta = format!("linux-image-cloud-{arch}");
    let image = root
        .depends(&meta)?
        .into_iter()
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{meta} of {suite} names no kernel"))?;
    // From 7.x on the image itself and its modules are in packages of their own.
    let parts = root.depends(&image)?;
    let part = |name: &str| Some(image.replacen("image", name, 1)).filter(|p| parts.contains(p));
    let package = part("binary").unwrap_or_else(|| image.clone());
    if let Some(modules) = part("modules") {
        sh::say("Fetching", format!("{modules} of Debian {suite}"));
        root.unpack(&modules, &beside)?;
    }
    sh::say("Fetching", format!("{package} of Debian {suite}"));
    root.unpack(&package, &dir)?;
    unpacked(&dir, &beside).with_context(|| format!("{package} holds no kernel image"))
}

/// A statically linked busybox, the only foreign program in the machine.
pub(crate) fn busybox(suite: &str, arch: &str) -> Result<PathBuf> {
    let dir = paths::target("vm").join(format!("busybox-{arch}"));
    let places = [dir.join("bin/busybox"), dir.join("usr/bin/busybox")];
    let found = || places.iter().find(|file| file.is_file()).cloned();
    if let Some(busybox) = found() {
        return Ok(busybox);
    }
    AptRoot::ready(suite, arch)?.unpack("busybox-static", &dir)?;
    found().context("busybox-static holds no busybox")
}

fn unpacked(dir: &Path, beside: &Path) -> Option<Kernel> {
    let in_boot = fs::read_dir(dir.join("boot"))
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let release = name.strip_prefix("vmlinuz-")?.to_owned();
            Some((release, entry.path()))
        });
    let (release, image) = in_boot.or_else(|| {
        fs::read_dir(dir.join("usr/lib/modules"))
            .ok()?
            .flatten()
            .find_map(|entry| {
                let release = entry.file_name().into_string().ok()?;
                let image = entry.path().join("vmlinuz");
                image.is_file().then_some((release, image))
            })
    })?;
    let modules = MODULES
        .iter()
        .filter_map(|name| module(&[dir, beside], &release, name))
        .collect();
    Some(Kernel {
        release,
        image,
        modules,
    })
}

/// Where a module lies, compressed or not.
fn module(dirs: &[&Path], release: &str, name: &str) -> Option<PathBuf> {
    dirs.iter()
        .flat_map(|dir| [dir.join("lib/modules"), dir.join("usr/lib/modules")])
        .flat_map(|place| {
            [".ko", ".ko.xz"]
                .map(|end| format!("{release}/kernel/{name}{end}"))
                .map(|file| place.join(file))
        })
        .find(|file| file.is_file())
}

/// An apt that knows one release and nothing of the system's packages.
struct AptRoot {
    dir: PathBuf,
    arch: String,
}

impl AptRoot {
    fn ready(suite: &str, arch: &str) -> Result<Self> {
        if !packages::have_apt() {
            bail!("the kernels are unpacked from Debian's archive, which needs apt and dpkg");
        }
        let root = Self {
            dir: paths::target("vm").join(format!("apt-{suite}-{arch}")),
            arch: arch.to_owned(),
        };
        let stamp = root.dir.join("stamp");
        if stamp.is_file() {
            return Ok(root);
        }
        for sub in ["lists/partial", "cache/archives/partial"] {
            let dir = root.dir.join(sub);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let source = format!(
            "deb [signed-by={}] {} {suite} main\n",
            keyring()?,
            mirror()?
        );
        sh::write_if_changed(&root.dir.join("sources.list"), source.as_bytes())?;
        sh::write_if_changed(&root.dir.join("status"), b"")?;
        sh::say("Fetching", format!("the package lists of Debian {suite}"));
        sh::quiet(
            &format!("apt-{suite}-{arch}"),
            root.apt("apt-get", &["update"]),
        )?;
        fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(root)
    }

    fn apt(&self, program: &str, args: &[&str]) -> Command {
        let mut command = sh::command(program, [] as [&str; 0]);
        let place = |name: &str, sub: &str| format!("{name}={}", self.dir.join(sub).display());
        let settings = [
            place("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=-".to_owned(),
            place("Dir::State", ""),
            place("Dir::State::Lists", "lists"),
            place("Dir::State::Status", "status"),
            place("Dir::Cache", "cache"),
            format!("APT::Architecture={}", self.arch),
            format!("APT::Architectures={}", self.arch),
            // A quarter of the download: package names are all that is wanted.
            "Acquire::Languages=none".to_owned(),
            "Acquire::GzipIndexes=true".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The directory may be one that apt's own user cannot enter.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ];
        for setting in &settings {
            command.args(["-o", setting]);
        }
        command.args(args);
        command
    }

    /// The packages that a package names first in its dependencies.
    fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = sh::output(self.apt("apt-cache", &["show", "--no-all-versions", package]))
            .with_context(|| format!("Debian's archive has no package {package}"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Depends:"))
            .unwrap_or_default();
        Ok(line
            .split(',')
            .filter_map(|item| item.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Downloads a package and unpacks it, leaving nothing half done under the final name.
    fn unpack(&self, package: &str, to: &Path) -> Result<()> {
        let debs = self.dir.join("debs");
        let fresh = self.dir.join("unpacked");
        for dir in [&debs, &fresh] {
            let _ = fs::remove_dir_all(dir);
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let mut download = self.apt("apt-get", &["download", package]);
        download.current_dir(&debs);
        sh::quiet("apt-download", download)?;
        let deb = fs::read_dir(&debs)
            .ok()
            .and_then(|mut entries| entries.next())
            .with_context(|| format!("apt-get downloaded nothing for {package}"))?
            .context("cannot list the download")?
            .path();
        let mut unpack = sh::command("dpkg", ["-x"]);
        unpack.arg(&deb).arg(&fresh);
        sh::quiet("dpkg", unpack)?;
        let _ = fs::remove_dir_all(&debs);
        let _ = fs::remove_dir_all(to);
        fs::rename(&fresh, to).with_context(|| format!("cannot move to {}", to.display()))
    }
}

fn keyring() -> Result<&'static str> {
    if let Some(found) = KEYRINGS.into_iter().find(|path| Path::new(path).is_file()) {
        return Ok(found);
    }
    packages::install(
        "the keys Debian's kernels are signed with",
        &["debian-archive-keyring"],
    )?;
    KEYRINGS
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("debian-archive-keyring holds no keyring")
}

/// The mirror the system itself uses.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return Ok(mirror);
    }
    let query = || {
        let format = "$(LABEL) $(REPO_URI)";
        let targets = ["indextargets", "--format", format, "Created-By: Packages"];
        let text = sh::output(sh::command("apt-get", targets))?;
        Ok::<_, anyhow::Error>(
            text.lines()
                .find_map(|line| line.strip_prefix("Debian "))
                .map(str::to_owned),
        )
    };
    if let Some(mirror) = query()? {
        return Ok(mirror);
    }
    // Images often come without lists; apt names only sources whose lists it has.
    packages::refresh()?;
    query()?.with_context(|| {
        format!("apt's sources name no Debian mirror; name one in {MIRROR_VARIABLE}=URL")
    })
}
