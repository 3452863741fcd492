//! What the state folder holds, and what a crash leaves in it.

use super::*;

#[test]
fn a_folder_has_one_user_and_is_nobody_elses() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("state");
    let folder = Folder::open(&path)?;
    assert!(matches!(Folder::open(&path), Err(AgentError::Taken { .. })));
    assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o700);
    drop(folder);
    fs::set_permissions(&path, Permissions::from_mode(0o770))?;
    let error = Folder::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("chmod 700"), "{error}");
    Ok(())
}

#[test]
fn who_the_node_is_is_read_back_and_a_newer_record_is_refused()
-> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let folder = Folder::open(dir.path())?;
    assert_eq!(folder.identity()?, None);
    let servers = vec!["10.0.0.1:7400".into()];
    let (name, address) = ("a".into(), "10.0.0.2:7400".into());
    let identity = Identity::new(ClusterId::random(), NodeNumber::new(2), name, address, servers);
    folder.set_identity(&identity)?;
    assert_eq!(folder.identity()?, Some(identity));
    let newer =
        fs::read_to_string(folder.file("node.json"))?.replace("\"version\": 1", "\"version\": 2");
    fs::write(folder.file("node.json"), newer)?;
    let error = folder.identity().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("version 2"), "{error}");
    Ok(())
}

fn papers(node: u64) -> Result<Papers, Box<dyn std::error::Error>> {
    let now = SystemTime::now();
    let cluster = ClusterId::random();
    let rotation = regrow_pki::Rotation::steady(regrow_pki::Authority::new(cluster, now)?);
    let node = NodeNumber::new(node);
    let identity = regrow_pki::NodeIdentity { cluster, role: regrow_pki::Role::Worker, node };
    Ok(crate::own::papers(&rotation, 7, &identity, now, regrow_pki::DEFAULT_LIFE)?)
}

fn number(folder: &Folder) -> Result<u64, AgentError> {
    Ok(folder.papers()?.credential.identity().node.get())
}

/// The files of before, as the program of before wrote them.
fn write_before(folder: &Folder, papers: &Papers) -> io::Result<()> {
    fs::write(folder.file("key.pem"), papers.credential.key().pem().expose())?;
    fs::write(folder.file("roots.pem"), papers.roots.to_pem())?;
    fs::write(folder.file("chain.pem"), papers.credential.chain().to_pem())
}

#[test]
fn papers_are_private_and_come_back_whole() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let folder = Folder::open(dir.path())?;
    let error = folder.papers().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("papers.json") && error.contains("join again"), "{error}");
    folder.set_papers(&papers(1)?)?;
    assert_eq!((number(&folder)?, folder.papers()?.edition), (1, 7));
    assert_eq!(fs::metadata(folder.file(PAPERS))?.mode() & 0o777, 0o600);
    Ok(())
}

#[test]
fn a_crash_while_papers_are_replaced_leaves_the_old_or_the_new_ones()
-> Result<(), Box<dyn std::error::Error>> {
    for before in [false, true] {
        let dir = tempfile::tempdir()?;
        let folder = Folder::open(dir.path())?;
        let (old, new) = (papers(1)?, papers(2)?);
        if before {
            write_before(&folder, &old)?;
        } else {
            folder.set_papers(&old)?;
        }
        assert_eq!(number(&folder)?, 1);
        let text = new.to_record()?;
        let text = text.expose().as_bytes();
        // Some of the new file is written beside, then all of it.
        for written in [0, 1, text.len() / 2, text.len()] {
            let part = text.get(..written).unwrap_or_default();
            fs::write(folder.file("papers.json.new"), part)?;
            assert_eq!(number(&folder)?, 1, "{written} bytes beside, {before}");
        }
        fs::rename(folder.file("papers.json.new"), folder.file(PAPERS))?;
        assert_eq!(number(&folder)?, 2, "renamed, {before}");
        // The files of before go one by one.
        for name in BEFORE {
            folder.forget(name)?;
            assert_eq!(number(&folder)?, 2, "without {name}, {before}");
        }
        // And it can be done again from where it was left.
        folder.set_papers(&papers(3)?)?;
        assert_eq!(number(&folder)?, 3);
        assert!(!folder.file("key.pem").exists());
    }
    Ok(())
}
