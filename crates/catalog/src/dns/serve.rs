//! Sockets: datagrams and connections, counted, bounded and timed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt as _, stream};
use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::packet::{self, Asked, Received, Sections, UDP_BYTES_MAX};
use super::reader::Reader;
use super::recurse::Recursor;
use super::{Moment, Transport, Zone, answer, question};

/// Pause after the system refused to hand out a packet or a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest time in which a connection brings no whole question (RFC 7766 advises some seconds).
const IDLE: Duration = Duration::from_secs(10);
/// Longest time in which a client takes an answer.
const WRITE: Duration = Duration::from_secs(10);
/// Most questions of one connection that are answered at once; further ones wait in its socket.
const PIPELINED: usize = 32;
/// Largest question on a connection: names have 255 bytes at most, the rest is extensions.
const QUESTION_BYTES_MAX: usize = 4096;

struct Server {
    zone: Zone,
    reader: Reader,
    recursor: Option<Recursor>,
    questions: Arc<Semaphore>,
}

/// Answers until told to stop.
pub(super) async fn run(
    udp: UdpSocket,
    tcp: TcpListener,
    reader: Reader,
    zone: Zone,
    stop: CancellationToken,
) {
    let places = |wanted: usize| Arc::new(Semaphore::new(wanted.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = places(zone.options.connections);
    let questions = places(zone.options.questions);
    let recursor = Recursor::new(&zone.options);
    let server = Arc::new(Server { zone, reader, recursor, questions });
    let tasks = TaskTracker::new();
    let serving = async {
        tokio::join!(
            datagrams(&server, Arc::new(udp), &tasks, &stop),
            streams(&server, &tcp, &connections, &tasks, &stop)
        )
    };
    tokio::select! {
        _ = serving => {}
        () = stop.cancelled() => {}
    }
    tasks.close();
    tasks.wait().await;
}

impl Server {
    async fn answer(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let asked = match packet::receive(packet) {
            Received::Drop => return None,
            Received::Refused(reply) => return Some(reply),
            Received::Asked(asked) => asked,
        };
        let meant = question::meant(&asked, &self.zone);
        let want = question::want(&meant);
        let data = self.reader.look(&want, self.zone.options.stale).await;
        let mut sections = answer::sections(&asked, &meant, &data, &self.zone, now());
        if let Some(recursor) = self.recursor.as_ref().filter(|_| asked.wants_recursion()) {
            if sections.is_foreign() {
                match recursor.ask(packet, transport).await {
                    Some(reply) if packet::fits(&asked, &reply, transport) => return Some(reply),
                    _ => sections.code = ResponseCode::ServFail,
                }
            } else {
                self.follow_alias(recursor, &asked, &mut sections, transport).await;
            }
        }
        packet::send(&asked, &sections, transport, self.zone.options.udp_answer_limit)
    }

    /// Tells what an alias stands for, as far as others know.
    async fn follow_alias(
        &self,
        recursor: &Recursor,
        asked: &Asked,
        sections: &mut Sections,
        transport: Transport,
    ) {
        let name = answer::foreign_alias(asked, sections, &self.zone);
        let Some(about) = name.and_then(|name| asked.about(name.clone())) else { return };
        let Some(reply) = recursor.ask(&about, transport).await else { return };
        if let Ok(message) = Message::from_vec(&reply) {
            sections.entries.extend(answer::aliased(asked, message));
        }
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The serial number is meant to go around.
    Moment { seed: rand::random(), serial: since.as_secs() as u32 }
}

/// Runs a task, unless told to stop before it ends.
fn start(
    tasks: &TaskTracker,
    stop: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
    });
}

async fn datagrams(
    server: &Arc<Server>,
    socket: Arc<UdpSocket>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let mut buffer = vec![0; usize::from(UDP_BYTES_MAX)];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "receive a DNS packet");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // With too many in hand a packet is lost, as on a full network: its sender asks again.
        let Ok(place) = Arc::clone(&server.questions).try_acquire_owned() else { continue };
        let packet = buffer.get(..length).unwrap_or_default().to_vec();
        let (server, socket) = (Arc::clone(server), Arc::clone(&socket));
        start(tasks, stop, datagram(server, socket, packet, peer, place));
    }
}

async fn datagram(
    server: Arc<Server>,
    socket: Arc<UdpSocket>,
    packet: Vec<u8>,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
) {
    let Some(reply) = server.answer(&packet, Transport::Udp).await else { return };
    if let Err(error) = socket.send_to(&reply, peer).await {
        tracing::debug!(%error, %peer, "send a DNS answer");
    }
}

async fn streams(
    server: &Arc<Server>,
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a DNS connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Dropped where there are enough: the client sees it closed.
        let Ok(place) = Arc::clone(connections).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        start(tasks, stop, connection(Arc::clone(server), stream, place));
    }
}

/// Answers the questions of a connection, in their order.
async fn connection(server: Arc<Server>, stream: TcpStream, _place: OwnedSemaphorePermit) {
    let (reader, mut writer) = stream.into_split();
    let answers = questions(reader).map(|packet| {
        let server = Arc::clone(&server);
        async move {
            let _place = server.questions.acquire().await.ok()?;
            server.answer(&packet, Transport::Tcp).await
        }
    });
    let mut answers = std::pin::pin!(answers.buffered(PIPELINED));
    while let Some(answer) = answers.next().await {
        let Some(framed) = answer.as_deref().and_then(framed) else { continue };
        match timeout(WRITE, writer.write_all(&framed)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = timeout(WRITE, writer.shutdown()).await;
}

/// A message with its length before it.
pub(super) fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(message.len()).ok()?;
    Some([&length.to_be_bytes(), message].concat())
}

/// The questions of a connection, until it ends, is silent for too long, or says too much at once.
fn questions(reader: OwnedReadHalf) -> impl Stream<Item = Vec<u8>> {
    stream::unfold(reader, |mut reader| async move {
        let packet = timeout(IDLE, question(&mut reader)).await.ok()??;
        Some((packet, reader))
    })
}

async fn question(reader: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    message(reader, QUESTION_BYTES_MAX).await
}

/// A message with its length before it; `None` at the end, and for one that is longer.
pub(super) async fn message(reader: &mut (impl AsyncRead + Unpin), most: usize) -> Option<Vec<u8>> {
    let length = usize::from(reader.read_u16().await.ok()?);
    if length > most {
        return None;
    }
    let mut packet = vec![0; length];
    reader.read_exact(&mut packet).await.ok()?;
    Some(packet)
}
