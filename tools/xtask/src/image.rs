//! The image from which the tests of containers build: there is no registry of images in the gate, so
//! it is made of Debian's packages, from the mirror that this machine uses, and kept under
//! `target/images`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Debian's release in the `FROM` lines of the examples.
const RELEASE: &str = "bookworm";

/// What Debian's own images have, too: no documents, no lists of translations, and no wait for the disk
/// after each file of a package.
const SETTINGS: &[(&str, &str)] = &[
    (
        "etc/dpkg/dpkg.cfg.d/image",
        "force-unsafe-io\npath-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n\
         path-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n",
    ),
    ("etc/apt/apt.conf.d/image", "Acquire::Languages \"none\";\n"),
];

/// Makes the image where there is none. Without it the tests of containers report themselves as not run.
pub fn ensure(root: &Path) -> Result<()> {
    let folder = root.join("target/images");
    let image = folder.join(format!("{RELEASE}.tar"));
    if image.is_file() {
        println!("setup: the base of container images is there");
        return Ok(());
    }
    if !process::is_root_on_debian() || !process::has_program("debootstrap") {
        println!("setup: no base of container images: it takes root on Debian and debootstrap");
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    if let Err(fault) = make(root, &folder, &image) {
        println!("setup: no base of container images, their tests will not run: {fault:#}");
    }
    Ok(())
}

/// Makes it in memory, which goes with the namespace: on a disk it takes much longer.
const STEPS: &str = "mount -t tmpfs none \"$0\" && debootstrap --variant=minbase \"$1\" \"$0\" \"$2\" \
                     && cp -r \"$3/.\" \"$0\" && tar -C \"$0\" -cf \"$4\" .";

fn make(root: &Path, folder: &Path, image: &Path) -> Result<()> {
    let (tree, settings, half) =
        (folder.join("tree"), folder.join("settings"), folder.join("half"));
    fs::create_dir_all(&tree).with_context(|| format!("make {}", tree.display()))?;
    for (name, text) in SETTINGS {
        let file = settings.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&settings))?;
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    let from = mirror(root)?;
    let mut steps = process::program(root, "unshare", ["--mount", "sh", "-c", STEPS]);
    steps.arg(&tree).args([RELEASE, &from]).arg(&settings).arg(&half);
    let status = process::show_and_run(&mut steps)?;
    if !status.success() {
        bail!("debootstrap ended with {status}");
    }
    fs::rename(&half, image).with_context(|| format!("make {}", image.display()))
}

/// Where this machine has its packages of that release from.
fn mirror(root: &Path) -> Result<String> {
    let args = ["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"];
    let known = process::output(&mut process::program(root, "apt-get", args))?;
    let of_release = |line: &&str| line.split_whitespace().nth(1) == Some(RELEASE);
    let line = known.lines().find(of_release);
    let line = line.with_context(|| format!("apt has no packages of {RELEASE}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}
