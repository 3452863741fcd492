//! Asking the others for another number.

use std::time::Duration;

use bytes::Bytes;
use regrow_pki::Member;
use regrow_wire::{CallError, Client, FaultCode, Keys, Method, Peer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::door;
use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::join;
use crate::messages::{JoinReply, ReplaceRequest, decode, encode};
use crate::others;
use crate::refill::Beginning;
use crate::refill::note::Note;

/// Longest time for one server to answer: an election, and a slow disk.
const WITHIN: Duration = Duration::from_secs(20);
/// Wait after nobody gave a number.
const AGAIN: Duration = Duration::from_secs(2);
/// How often the log repeats why the node waits.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Why a server gave no number, though it may give one later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was not reached, or did not answer.
    Silent(String),
    /// It answered that it cannot: nobody leads, as a rule.
    Unable(String),
}

/// True when somebody was heard, so that what is missing is a majority.
fn heard(answers: &[(String, Why)]) -> bool {
    answers.iter().any(|(_, why)| matches!(why, Why::Unable(_)))
}

/// What is said while the node waits.
pub(super) fn waiting(note: &Note, answers: &[(String, Why)]) -> String {
    let next = if heard(answers) {
        "a majority of the others is needed; when it is lost for good, run `regrow node recover` on a \
         server that is whole"
    } else {
        "one of them must answer; when all are lost for good, restore a backup, and when this node \
         was removed meanwhile, empty its folder and let it join anew"
    };
    let said = |(server, why): &(String, Why)| match why {
        Why::Silent(text) | Why::Unable(text) => format!("{server}: {text}"),
    };
    let said: Vec<_> = answers.iter().map(said).collect();
    format!(
        "the log or the tables of node {} are damaged ({}), and it waits for the others to refill it \
         under another number: {next}. Last answers: {}",
        note.number,
        note.found,
        said.join("; ")
    )
}

/// Gets papers of another number and keeps them. Asks until somebody gives them.
pub(super) async fn number(
    beginning: &Beginning<'_>,
    identity: &Identity,
    note: &Note,
) -> Result<(), AgentError> {
    let (tell, told) = watch::channel(waiting(note, &[]));
    let door = door::open(beginning.folder)?;
    tokio::select! {
        asked = until_given(beginning, identity, note, &tell) => asked,
        () = door::say_only(door, told) => Ok(()),
    }
}

async fn until_given(
    beginning: &Beginning<'_>,
    identity: &Identity,
    note: &Note,
    tell: &watch::Sender<String>,
) -> Result<(), AgentError> {
    let folder = beginning.folder;
    let client = client(beginning)?;
    let key = join::key(folder)?;
    let request =
        key.request().map_err(|error| AgentError::keys("ask for a certificate", error))?;
    let asked = ReplaceRequest { request, address: beginning.address.to_owned() };
    let body = encode(&asked).map_err(|fault| AgentError::keys("ask for another number", fault))?;
    let mut logged = None;
    loop {
        let mut answers = Vec::new();
        // Read anew: an operator may write there where the others are now.
        for server in others::known(folder, identity, beginning.address)? {
            match ask(&client, &server, body.clone()).await? {
                Ok(reply) => return join::keep_papers(folder, key, &reply, identity, &server),
                Err(why) => answers.push((server, why)),
            }
        }
        let (text, heard) = (waiting(note, &answers), heard(&answers));
        let fresh = |(was, at): (bool, Instant)| was == heard && at.elapsed() < LOG_EVERY;
        if !logged.is_some_and(fresh) {
            tracing::warn!("{text}");
            logged = Some((heard, Instant::now()));
        }
        tell.send_replace(text);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Calls as the node that this was.
fn client(beginning: &Beginning<'_>) -> Result<Client, AgentError> {
    let papers = beginning.folder.papers()?;
    let member = Member {
        credential: papers.credential,
        roots: papers.roots,
        refused: std::sync::Arc::new(|_| false),
        clock: beginning.clock.clone(),
    };
    let keys = Keys::new(member).map_err(|error| AgentError::keys("use the keys", error))?;
    Ok(Client::new(keys))
}

/// Asks one server.
///
/// # Errors
/// It never will give this node a number.
async fn ask(
    client: &Client,
    server: &str,
    body: Bytes,
) -> Result<Result<JoinReply, Why>, AgentError> {
    let peer = Peer::any_server(server);
    let called = client.call(&peer, Method::Replace, body, Instant::now() + WITHIN).await;
    let fault = match called {
        Ok(reply) => return Ok(decode(&reply).map_err(|fault| Why::Unable(fault.text))),
        Err(CallError::Fault { fault, .. }) => fault,
        Err(error) => return Ok(Err(Why::Silent(error.to_string()))),
    };
    match fault.code {
        FaultCode::Forbidden => {
            Err(AgentError::Join { server: server.to_owned(), reason: fault.text })
        }
        FaultCode::UnknownMethod => {
            let text = "it runs a program of before; start the newer one there";
            Ok(Err(Why::Unable(text.to_owned())))
        }
        _ => Ok(Err(Why::Unable(fault.text))),
    }
}

/// Forgets the key with which it was asked.
pub(super) fn forget_key(folder: &Folder) -> Result<(), AgentError> {
    folder.forget(join::KEY)
}
