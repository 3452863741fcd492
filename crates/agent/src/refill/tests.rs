//! Which step is next, and what a crash leaves.

use std::fs;
use std::time::{Duration, SystemTime};

use regrow_pki::{Authority, ClusterId, NodeIdentity, NodeNumber, Role, Rotation};

use super::ask::{Why, waiting};
use super::*;
use crate::own;
use crate::starting::{JOURNAL, TABLES};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[test]
fn only_a_node_that_knows_of_others_is_refilled() {
    assert_eq!(decide(&[]), Decision::Refuse);
    assert_eq!(decide(&["10.0.0.1:7400".into()]), Decision::Refill);
}

#[test]
fn the_next_step_follows_from_what_the_folder_shows() {
    use Step::{Adopt, Ask, SetAside, Settle};
    let number = NodeNumber::new;
    let mut seen = Vec::new();
    for papers in [3, 9] {
        for identity in [3, 9] {
            for in_place in [true, false] {
                let (papers, identity) = (number(papers), number(identity));
                let facts = Facts { damaged: number(3), papers, identity, in_place };
                seen.push(facts.next());
                // Nothing is set aside, and no number taken, before papers of another one are there.
                let early = papers == number(3) && identity == number(3);
                assert_eq!(early, facts.next() == Ask, "{facts:?}");
            }
        }
    }
    assert_eq!(seen, [Ask, Ask, Settle, Settle, SetAside, Adopt, Settle, Settle]);
}

#[test]
fn who_waits_says_what_for() {
    let note = Note::new(NodeNumber::new(3), "segment 1".into(), SystemTime::UNIX_EPOCH);
    let said = |answers: &[Why]| {
        let answers: Vec<_> = answers.iter().map(|why| ("a:1".to_owned(), why.clone())).collect();
        waiting(&note, &answers)
    };
    let silent = Why::Silent("refused".into());
    let text = said(std::slice::from_ref(&silent));
    assert!(text.contains("node 3") && text.contains("segment 1"), "{text}");
    assert!(text.contains("restore a backup") && text.contains("a:1: refused"), "{text}");
    let text = said(&[silent, Why::Unable("no leader".into())]);
    assert!(text.contains("regrow node recover") && text.contains("no leader"), "{text}");
}

/// A node of a cluster, whose log and tables are files with anything in them.
struct World {
    folder: Folder,
    rotation: Rotation,
    cluster: ClusterId,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let folder = Folder::open(dir.path())?;
        let cluster = ClusterId::random();
        let rotation = Rotation::steady(Authority::new(cluster, SystemTime::now())?);
        let world = Self { folder, rotation, cluster, _dir: dir };
        world.papers(3)?;
        let servers = vec!["10.0.0.1:7400".into()];
        let (name, address) = ("c".into(), "10.0.0.3:7400".into());
        let identity = Identity::new(cluster, NodeNumber::new(3), name, address, servers);
        world.folder.set_identity(&identity)?;
        fs::create_dir(world.folder.file(JOURNAL))?;
        fs::write(world.folder.file(JOURNAL).join("segment-0000000001"), "damaged")?;
        fs::write(world.folder.file(TABLES), "damaged too")?;
        Ok(world)
    }

    /// Papers of a number, as a server gives them.
    fn papers(&self, node: u64) -> Outcome {
        let node = NodeNumber::new(node);
        let identity = NodeIdentity { cluster: self.cluster, role: Role::Server, node };
        let (now, life) = (SystemTime::now(), Duration::from_secs(3_600));
        Ok(self.folder.set_papers(&own::papers(&self.rotation, 1, &identity, now, life)?)?)
    }

    fn next(&self) -> Result<Option<Step>, AgentError> {
        let Some(note) = Note::read(&self.folder)? else { return Ok(None) };
        Ok(Some(Facts::of(&self.folder, &note)?.next()))
    }

    fn evidence(&self) -> Result<Vec<PathBuf>, std::io::Error> {
        let entries = fs::read_dir(self.folder.file("damaged"))?;
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        Ok(found)
    }
}

#[tokio::test]
async fn a_crash_at_any_step_is_taken_up_and_nothing_is_lost() -> Outcome {
    let world = World::new()?;
    let clock = Clock::new(SystemTime::now);
    let address = "10.0.0.3:7400";
    let beginning = || Beginning { folder: &world.folder, address, clock: &clock, new: false };
    let identity = beginning().identity()?;
    assert!(matches!(beginning().look(false)?, Found::Damaged(_)), "the journal is none");
    beginning().begin(&identity, "made up".into())?;
    assert_eq!(world.next()?, Some(Step::Ask));
    assert!(world.folder.file(JOURNAL).exists(), "nothing is touched before the answer");
    world.papers(9)?;
    assert_eq!(world.next()?, Some(Step::SetAside));
    // A crash after the log was moved, and before the tables were.
    let note = Note::read(&world.folder)?.ok_or("a note")?;
    let (tables, kept) = (world.folder.file(TABLES), world.folder.file("kept"));
    fs::rename(&tables, &kept)?;
    evidence::set_aside(&world.folder, &note)?;
    fs::rename(&kept, &tables)?;
    assert_eq!(world.next()?, Some(Step::SetAside));
    // The rest is done by the next start.
    let opened = beginning().open().await?;
    assert_eq!(opened.identity.number, NodeNumber::new(9));
    assert_eq!(opened.identity.name, "c");
    assert_eq!(opened.storage.log.last(), None);
    assert_eq!(world.next()?, None);
    let evidence = world.evidence()?;
    let [only] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!(fs::read_to_string(only.join(TABLES))?, "damaged too");
    assert_eq!(fs::read_to_string(only.join(JOURNAL).join("segment-0000000001"))?, "damaged");
    assert_eq!(fs::read_to_string(only.join("found.txt"))?, "made up\n");
    drop(opened);
    // The next start finds it whole.
    assert_eq!(beginning().open().await?.identity.number, NodeNumber::new(9));
    Ok(())
}

#[tokio::test]
async fn what_begins_empty_is_no_evidence_and_old_evidence_goes() -> Outcome {
    let world = World::new()?;
    let clock = Clock::new(SystemTime::now);
    let address = "10.0.0.3:7400";
    let beginning = || Beginning { folder: &world.folder, address, clock: &clock, new: false };
    for old in ["0000000000001-node-1", "0000000000002-node-2"] {
        fs::create_dir_all(world.folder.file("damaged").join(old))?;
    }
    beginning().begin(&beginning().identity()?, "made up".into())?;
    world.papers(9)?;
    let note = Note::read(&world.folder)?.ok_or("a note")?;
    evidence::set_aside(&world.folder, &note)?;
    beginning().adopt(beginning().identity()?)?;
    assert_eq!(world.next()?, Some(Step::Settle));
    // A crash after the empty log was made, and before the note was removed.
    drop(beginning().look(true)?);
    assert_eq!(world.next()?, Some(Step::Settle));
    drop(beginning().open().await?);
    let names = world.evidence()?;
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with("0000000000001-node-1")), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_is_gone_is_damage_except_for_a_new_node() -> Outcome {
    let world = World::new()?;
    let clock = Clock::new(SystemTime::now);
    fs::remove_dir_all(world.folder.file(JOURNAL))?;
    fs::remove_file(world.folder.file(TABLES))?;
    let look = |new| {
        let address = "10.0.0.3:7400";
        let beginning = Beginning { folder: &world.folder, address, clock: &clock, new };
        beginning.look(new)
    };
    assert!(matches!(look(false)?, Found::Damaged(_)), "it belongs to a cluster");
    assert!(matches!(look(true)?, Found::Whole(..)), "it has just joined");
    assert!(matches!(look(false)?, Found::Whole(..)), "it has a log now");
    Ok(())
}

#[tokio::test]
async fn a_node_that_knows_of_no_other_voter_refuses_and_leaves_all_as_it_is() -> Outcome {
    let world = World::new()?;
    // It was told of others when it joined, and is the only voter now.
    others::note(&world.folder, &[])?;
    let clock = Clock::new(SystemTime::now);
    let address = "10.0.0.3:7400";
    let beginning = Beginning { folder: &world.folder, address, clock: &clock, new: false };
    let error = beginning.open().await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("Restore a backup"), "{error}");
    assert_eq!(world.next()?, None);
    let segment = world.folder.file(JOURNAL).join("segment-0000000001");
    assert_eq!(fs::read_to_string(segment)?, "damaged");
    assert!(!world.folder.file("damaged").exists());
    Ok(())
}
