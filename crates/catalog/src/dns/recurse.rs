//! Other servers, asked about names that are not ours to know.
//!
//! A question goes out as it came, under a number of our own, and the answer goes back as it came:
//! only a server that answers, or knows that there is no such name, is believed, else the next is
//! asked. Names in the own domain never go out.
//!
//! Servers may be set up in a circle, so that a question comes back here. The same question is
//! asked once at a time: who asks it meanwhile gets the answer of the first, so a question that
//! comes back waits for itself until the time for it is over, and makes no further one. Should it
//! come back in another form each time, the number of questions in hand ends it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use hickory_proto::op::ResponseCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::packet::UDP_BYTES_MAX;
use super::{DnsError, DnsOptions, Transport, serve};

/// Most servers: a client has given up long before all of more have been waited for.
const SERVERS_MAX: usize = 8;
/// Most different questions at once; further ones have no answer.
const QUESTIONS_MAX: usize = 256;
/// Bytes of a message's head, and of its number, which is first.
const HEAD_BYTES: usize = 12;
const ID_BYTES: usize = 2;

type Answer = Option<Arc<[u8]>>;
/// A question without its number, and how it came.
type Key = (Vec<u8>, Transport);
type InHand = HashMap<Key, WeakShared<BoxFuture<'static, Answer>>>;

/// Refuses too many servers, and this one.
pub(super) fn check(servers: &[SocketAddr], own: Option<SocketAddr>) -> Result<(), DnsError> {
    if servers.len() > SERVERS_MAX {
        return Err(DnsError::Recursors { given: servers.len(), limit: SERVERS_MAX });
    }
    let is_own = |server: &&SocketAddr| {
        own.is_some_and(|own| {
            let here = own.ip().is_unspecified() && server.ip().is_loopback();
            own.port() == server.port() && (own.ip() == server.ip() || here)
        })
    };
    match servers.iter().find(is_own) {
        Some(server) => Err(DnsError::OwnRecursor(*server)),
        None => Ok(()),
    }
}

/// The other servers.
pub(super) struct Recursor {
    servers: Arc<[SocketAddr]>,
    limit: Duration,
    places: Arc<Semaphore>,
    in_hand: Mutex<InHand>,
}

impl Recursor {
    /// `None` where there are none.
    pub fn new(options: &DnsOptions) -> Option<Self> {
        if options.recursors.is_empty() {
            return None;
        }
        Some(Self {
            servers: options.recursors.as_slice().into(),
            limit: options.recursor_timeout,
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            in_hand: Mutex::default(),
        })
    }

    /// The answer to a packet that is a question, under the packet's own number; `None` where no
    /// server has one in time, or too many others are being asked about.
    pub async fn ask(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let (id, question) = packet.split_at_checked(ID_BYTES)?;
        let answer = self.answer_to(question, transport).await?;
        Some([id, answer.get(ID_BYTES..)?].concat())
    }

    /// The question that is in hand already, else a new one.
    fn answer_to(
        &self,
        question: &[u8],
        transport: Transport,
    ) -> Shared<BoxFuture<'static, Answer>> {
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (question.to_vec(), transport);
        if let Some(asked) = in_hand.get(&key).and_then(WeakShared::upgrade)
            && asked.peek().is_none()
        {
            return asked;
        }
        in_hand.retain(|_, asked| asked.upgrade().is_some_and(|asked| asked.peek().is_none()));
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (servers, limit, question) = (Arc::clone(&self.servers), self.limit, question.to_vec());
        let asked = async move {
            let _place = place.ok()?;
            first_answer(&servers, limit, &question, transport).await
        };
        let asked = asked.boxed().shared();
        if let Some(weak) = asked.downgrade() {
            in_hand.insert(key, weak);
        }
        asked
    }
}

async fn first_answer(
    servers: &[SocketAddr],
    limit: Duration,
    question: &[u8],
    transport: Transport,
) -> Answer {
    for server in servers {
        let id: [u8; ID_BYTES] = rand::random();
        let packet = [&id, question].concat();
        let exchange = async {
            match transport {
                Transport::Udp => over_udp(*server, &packet).await,
                Transport::Tcp => over_tcp(*server, &packet).await,
            }
        };
        match timeout(limit, exchange).await {
            Ok(Some(reply)) if is_answer(&packet, &reply) => return Some(reply.into()),
            Ok(_) => tracing::debug!(%server, "ask another DNS server: it has no answer"),
            Err(_) => tracing::debug!(%server, "ask another DNS server: it is silent"),
        }
    }
    None
}

/// Waits for what has the number and the question of the packet: anybody may send anything.
async fn over_udp(server: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(packet).await.ok()?;
    let mut buffer = vec![0; usize::from(UDP_BYTES_MAX)];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let reply = buffer.get(..length)?;
        if belongs(packet, reply) {
            return Some(reply.to_vec());
        }
    }
}

async fn over_tcp(server: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(&serve::framed(packet)?).await.ok()?;
    serve::message(&mut stream, usize::from(u16::MAX)).await
}

/// Whether a reply has the number of a packet and, without regard to case, its question.
fn belongs(packet: &[u8], reply: &[u8]) -> bool {
    let Some(end) = question_end(packet) else { return false };
    let is_reply = reply.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let same_id = packet.get(..ID_BYTES) == reply.get(..ID_BYTES);
    let one_question = reply.get(4..6) == Some(&[0, 1]);
    let same = match (packet.get(HEAD_BYTES..end), reply.get(HEAD_BYTES..end)) {
        (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
        _ => false,
    };
    is_reply && same_id && one_question && same
}

/// Where the first question of a packet ends: a name, a type, a class. `None` where the packet ends
/// before, or the name is not written out.
fn question_end(packet: &[u8]) -> Option<usize> {
    let mut at = HEAD_BYTES;
    loop {
        match packet.get(at)? {
            0 => break,
            length if *length < 64 => at += 1 + usize::from(*length),
            _ => return None,
        }
    }
    let end = at + 5;
    (end <= packet.len()).then_some(end)
}

/// Whether a reply says something about the name: what is there, or that nothing is.
fn is_answer(packet: &[u8], reply: &[u8]) -> bool {
    let code = reply.get(3).map(|flags| flags & 0x0f);
    let codes = [ResponseCode::NoError, ResponseCode::NXDomain].map(|code| Some(code.low()));
    belongs(packet, reply) && codes.contains(&code)
}
