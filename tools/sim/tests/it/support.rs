//! Histories for tests: made from real executions of a model, with random overlaps and random lies.

use std::path::PathBuf;

use sim::history::{Event, History, Op, Seen, What};
use sim::linear::{Limits, Model, Verdict, check};
use sim::seed::Random;

/// The folder of this crate's tests.
pub fn tests_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The verdict under the usual limits.
pub fn judge<M: Model>(model: &M, history: &History<M::Op>) -> Verdict {
    check(model, history, Limits::default())
}

pub type Told<O> = Seen<<O as Op>::Reply>;

/// How a history is drawn.
pub struct Shape {
    pub operations: usize,
    pub processes: u64,
    /// Percent of operations whose outcome stays unknown.
    pub unknown: u64,
    /// Percent of operations that fail before they take effect.
    pub failed: u64,
}

/// A history of a real sequential execution: each operation takes effect at one moment between its invocation and its
/// end, and `execute` says what the client is told then; its flag says that the outcome stays unknown. Clients that lost an operation go on under a new number.
pub fn record<O: Op>(
    random: &mut Random,
    shape: &Shape,
    mut draw: impl FnMut(&mut Random) -> O,
    mut execute: impl FnMut(&O, bool) -> Told<O>,
) -> History<O> {
    enum Client<O: Op> {
        Idle,
        Waiting(O, bool),
        Done(Told<O>),
    }
    let mut history = History::default();
    let mut clients: Vec<(u64, Client<O>)> =
        (0..shape.processes).map(|id| (id, Client::Idle)).collect();
    let (mut next_id, mut begun, mut t) = (shape.processes, 0, 0);
    while begun < shape.operations
        || clients.iter().any(|(_, client)| !matches!(client, Client::Idle))
    {
        t += random.below(3);
        let at = random.below(clients.len() as u64) as usize;
        let (process, client) = &mut clients[at];
        let mut push = |what| {
            history
                .push(Event { process: *process, t, what })
                .expect("the recorder keeps the rules");
        };
        *client = match std::mem::replace(client, Client::Idle) {
            Client::Idle if begun == shape.operations => Client::Idle,
            Client::Idle => {
                let op = draw(random);
                begun += 1;
                push(What::Invoke(op.clone()));
                Client::Waiting(op, random.chance(shape.unknown))
            }
            Client::Waiting(_, _) if random.chance(shape.failed) => {
                push(What::Fail(Some("refused".to_owned())));
                Client::Idle
            }
            Client::Waiting(op, true) => {
                let reached = random.chance(50);
                let told = if reached { execute(&op, true) } else { Seen::nothing() };
                push(What::Info(None, Seen { reply: None, ..told }));
                (*process, next_id) = (next_id, next_id + 1);
                Client::Idle
            }
            Client::Waiting(op, false) => Client::Done(execute(&op, false)),
            Client::Done(told) => {
                push(What::Ok(told));
                Client::Idle
            }
        };
    }
    history
}

/// The same events with one reply changed by `lie`; `nth` counts the replies.
pub fn with_lie<O: Op>(history: &History<O>, nth: usize, lie: impl Fn(&mut Told<O>)) -> History<O> {
    let mut lied = History::default();
    let mut replies = 0;
    for event in history.events() {
        let mut event = event.clone();
        if let What::Ok(told) = &mut event.what {
            if replies == nth {
                lie(told);
            }
            replies += 1;
        }
        lied.push(event).expect("the order is the same");
    }
    lied
}

/// How many replies there are.
pub fn reply_count<O: Op>(history: &History<O>) -> usize {
    history.events().iter().filter(|event| matches!(event.what, What::Ok(_))).count()
}
