//! A worker that dies at any byte, and one after it: no line is lost, torn or joined, and those of a
//! stream keep their order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use regrow_init::protocol::Stream as Pair;

use super::super::batch::{ATOMIC_BYTES, Batch};
use super::super::form::Form;
use super::super::lines::{CONTINUED, LINE_BYTES};
use super::super::output::Output;
use super::super::stream::{Destination, Scratch, Stream, Turn, TurnError};
use super::super::writer::{Abandoned, Sheet};
use super::{copy, label, stream};
use crate::config::{Format, Sink};

/// An output under a worker that dies after a number of bytes: what was written stays, nothing that
/// comes behind the write is done.
struct Mortal {
    output: Output,
    /// It takes [`ATOMIC_BYTES`] whole or not at all, and nothing can be taken back.
    pipe: bool,
    left: usize,
}

impl Mortal {
    fn put(&mut self, bytes: &[u8]) {
        assert_eq!(self.output.write(bytes).expect("a write"), bytes.len());
    }
}

impl Sheet for Mortal {
    fn mark(&self, batch: &Batch) -> Option<u64> {
        if self.pipe {
            return batch.can_be_torn().then_some(0);
        }
        Some(self.output.length().expect("a length"))
    }

    fn mend(&mut self, length: u64) -> Result<(), Abandoned> {
        if self.pipe {
            self.put(b"\n");
        } else {
            assert!(!self.output.mend(length));
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Abandoned> {
        let mut n = self.left.min(batch.bytes().len());
        if let Some(chunk) = batch.chunk(n).filter(|chunk| self.pipe && chunk.len() <= ATOMIC_BYTES)
        {
            n = chunk.start;
        }
        self.put(&batch.bytes()[..n]);
        self.left -= n.min(self.left);
        // It dies also right behind a write that was whole.
        if self.left == 0 || n < batch.bytes().len() { Err(Abandoned) } else { Ok(()) }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The job writes up to so many of its bytes to one of its streams.
    Write(usize, usize),
    /// The worker looks at a stream, and dies after so many written bytes.
    Turn(usize, Option<usize>),
    /// The worker dies between two turns.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![8 => 1..200_usize, 3 => 1..9000_usize, 1 => 1..65_536_usize];
    let death = prop_oneof![
        3 => Just(None),
        2 => (0..400_usize).prop_map(Some),
        1 => (0..20_000_usize).prop_map(Some)
    ];
    prop_oneof![
        4 => (0..2_usize, bytes).prop_map(|(stream, bytes)| Step::Write(stream, bytes)),
        4 => (0..2_usize, death).prop_map(|(stream, death)| Step::Turn(stream, death)),
        1 => Just(Step::Die),
    ]
}

/// Lengths of the lines of a stream; the last may lack its newline.
fn lengths() -> impl Strategy<Value = (Vec<usize>, bool)> {
    let length = prop_oneof![20 => 0..60_usize, 3 => 0..6000_usize, 1 => 60_000..70_000_usize];
    (prop::collection::vec(length, 1..60), any::<bool>())
}

/// The bytes of a stream whose lines are numbered.
fn content(name: &str, (lengths, ended): &(Vec<usize>, bool)) -> (Vec<String>, VecDeque<u8>) {
    let line = |(n, length): (usize, &usize)| format!("{name}{n}.{}", "x".repeat(*length));
    let lines: Vec<String> = lengths.iter().enumerate().map(line).collect();
    let mut bytes = lines.join("\n");
    if *ended {
        bytes.push('\n');
    }
    (lines, bytes.into_bytes().into())
}

/// A job with two streams, its bytes still to be written, and the worker that reads it.
struct World {
    rest: [VecDeque<u8>; 2],
    ends: [Option<File>; 2],
    kept: [Pair; 2],
    worker: Option<[Stream; 2]>,
    path: std::path::PathBuf,
    pipe: bool,
}

impl World {
    fn new(rest: [VecDeque<u8>; 2], path: std::path::PathBuf, pipe: bool) -> Self {
        let ((out, out_kept), (err, err_kept)) = (stream(), stream());
        for end in [&out, &err] {
            let flags = rustix::fs::OFlags::NONBLOCK;
            rustix::fs::fcntl_setfl(end, flags).expect("not blocking");
        }
        Self {
            rest,
            ends: [Some(out), Some(err)],
            kept: [out_kept, err_kept],
            worker: None,
            path,
            pipe,
        }
    }

    /// The job writes; where the pipe is full it does not.
    fn write(&mut self, of: usize, bytes: usize) {
        let Some(end) = &mut self.ends[of] else { return };
        let rest = self.rest[of].make_contiguous();
        let written = end.write(&rest[..bytes.min(rest.len())]).unwrap_or(0);
        self.rest[of].drain(..written);
        if self.rest[of].is_empty() {
            self.ends[of] = None;
        }
    }

    /// The worker looks at a stream; `true`: it has ended. Where it dies there is none afterwards.
    fn turn(&mut self, of: usize, death: usize) -> bool {
        let output = Output::open(&Sink::File(self.path.clone())).expect("a log");
        let mut sheet = Mortal { output, pipe: self.pipe, left: death };
        let (label, mut scratch) = (label("app", 1), Scratch::default());
        let form = Form::new(Format::Default, TimeZone::UTC);
        let mut to = Destination {
            label: &label,
            form: &form,
            shown: true,
            sheet: &mut sheet,
            scratch: &mut scratch,
            said: None,
        };
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => {
                let mut worker =
                    [0, 1].map(|i| Stream::open(copy(&self.kept[i])).expect("a stream"));
                worker.iter_mut().for_each(|s| s.mend(&mut to).expect("mended"));
                if worker.iter_mut().any(|s| died(s.write_out(false, &mut to))) {
                    return false;
                }
                worker
            }
        };
        match worker[of].turn(&mut to) {
            Ok(turn) => {
                self.worker = Some(worker);
                turn == Turn::Ended
            }
            failed => {
                assert!(died(failed));
                false
            }
        }
    }
}

fn died<T>(outcome: Result<T, TurnError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(TurnError::Abandoned) => true,
        Err(TurnError::Io(error)) => panic!("{error}"),
    }
}

/// Which line of the stream a record of it is.
fn numbered(name: &str, record: &str) -> Option<usize> {
    let text = record.split_once(" app 1 ")?.1.strip_prefix(name)?;
    text.split_once('.')?.0.parse().ok()
}

/// Every line is there, none is torn or joined, and none comes before one that stands before it,
/// unless a second time.
fn judge(log: &str, names: [&str; 2], lines: &[Vec<String>; 2], pipe: bool) {
    let mut seen = [0, 0];
    for record in log.lines() {
        let of = names.iter().position(|name| numbered(name, record).is_some());
        let whole = of.and_then(|of| {
            let number = numbered(names[of], record)?;
            (record.split_once(" app 1 ")?.1 == *lines[of].get(number)?).then_some((of, number))
        });
        match whole {
            Some((of, number)) => {
                assert!(number <= seen[of], "line {number} of {} comes too early", names[of]);
                seen[of] = seen[of].max(number + 1);
            }
            None if pipe && is_beginning(record, lines) => {}
            None => panic!("torn or joined: {:?}", record.chars().take(80).collect::<String>()),
        }
    }
    assert_eq!(seen, [lines[0].len(), lines[1].len()], "lines are lost");
}

/// A record that a pipe could not take whole begins so.
fn is_beginning(record: &str, lines: &[Vec<String>; 2]) -> bool {
    let Some((_, text)) = record.split_once(" app 1 ") else { return record.len() <= 40 };
    lines.iter().flatten().any(|line| line.len() > ATOMIC_BYTES - 40 && line.starts_with(text))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_lost_torn_or_joined_wherever_a_worker_dies(
        out in lengths(),
        err in lengths(),
        steps in prop::collection::vec(step(), 1..150),
        pipe in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let ((out_lines, out), (err_lines, err)) = (content("o", &out), content("e", &err));
        let mut world = World::new([out, err], path.clone(), pipe);
        for step in steps {
            match step {
                Step::Write(of, bytes) => world.write(of, bytes),
                Step::Turn(of, death) => {
                    world.turn(of, death.unwrap_or(usize::MAX));
                }
                Step::Die => world.worker = None,
            }
        }
        for of in [0, 1] {
            while world.ends[of].is_some() {
                world.write(of, 4096);
                world.turn(of, usize::MAX);
            }
            while !world.turn(of, usize::MAX) {}
        }
        let log = std::fs::read_to_string(&path).expect("a log");
        judge(&log, ["o", "e"], &[out_lines, err_lines], pipe);
    }
}

#[test]
fn a_line_that_is_split_survives_a_death_in_each_of_its_parts() {
    for pipe in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let line = vec![b'y'; 2 * LINE_BYTES + 10];
        let mut world = World::new([line.into(), VecDeque::from(vec![b'z'])], path.clone(), pipe);
        world.write(1, 1);
        let mut death = 700_000;
        while world.ends[0].is_some() {
            world.write(0, 50_000);
            world.turn(0, death);
            // Each worker lives a little longer than what it has to write again.
            death += 400_000;
        }
        for of in [0, 1] {
            while !world.turn(of, usize::MAX) {}
        }
        let log = std::fs::read_to_string(&path).expect("a log");
        let part = format!("{}{}", "y".repeat(LINE_BYTES), String::from_utf8_lossy(CONTINUED));
        let texts: Vec<&str> =
            log.lines().filter_map(|record| Some(record.split_once(" app 1 ")?.1)).collect();
        let whole: Vec<&&str> = texts.iter().filter(|text| text.ends_with(']')).collect();
        assert!(whole.len() >= 2 && whole.iter().all(|text| ***text == *part), "{pipe}");
        assert!(texts.contains(&"yyyyyyyyyy") && texts.contains(&"z"), "{pipe}");
    }
}
