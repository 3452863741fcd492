//! Streams: whole or an error, beside calls and not in their way.

use async_trait::async_trait;
use bytes::Bytes;
use regrow_pki::Role;
use regrow_wire::{
    CHUNK_LIMIT, CallError, Caller, Client, Fault, FaultCode, Method, Router, ServerLimits, Stream,
    StreamError, StreamHandler, StreamMethod,
};

use crate::world::{Counter, World, echo, soon, until, within};

/// Counts the bytes of a stream and answers with their number.
struct Total;

#[async_trait]
impl StreamHandler for Total {
    async fn serve(&self, _: Caller, opening: Bytes, stream: &mut Stream) -> Result<(), Fault> {
        let failed = |error: StreamError| Fault::new(FaultCode::Failed, error.to_string());
        let mut total = opening.len();
        while let Some(chunk) = stream.next().await.map_err(failed)? {
            total += chunk.len();
            if chunk.starts_with(b"stop") {
                return Err(Fault::new(FaultCode::Failed, "told to stop"));
            }
        }
        stream.send(Bytes::from(total.to_string())).await.map_err(failed)
    }
}

fn router() -> Router {
    Router::new().on_stream(StreamMethod::RaftSnapshot, Total).on(Method::Ping, echo)
}

#[tokio::test]
async fn a_stream_arrives_whole_while_calls_go_on() {
    let world = World::new();
    let server = world.serve(router()).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let opening = Bytes::from("12345");
    let opened = client.open(&peer, StreamMethod::RaftSnapshot, opening, soon()).await;
    let mut stream = opened.expect("a stream");
    let chunk = Bytes::from(vec![1; CHUNK_LIMIT as usize]);
    for _ in 0..8 {
        within("a chunk", stream.send(chunk.clone())).await.expect("sent");
        stream.keep_alive().await.expect("sent");
        // The stream is open and not at its end: calls do not wait for it.
        assert!(client.call(&peer, Method::Ping, Bytes::new(), soon()).await.is_ok());
    }
    stream.finish().await.expect("finished");
    assert!(matches!(stream.send(chunk).await, Err(StreamError::Finished)));
    let reply = within("the total", stream.next()).await.expect("a chunk").expect("a chunk");
    assert_eq!(reply, (8 * CHUNK_LIMIT as usize + 5).to_string());
    assert!(stream.next().await.expect("the end").is_none());
    assert!(stream.next().await.expect("still the end").is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_broken_stream_is_not_a_whole_one() {
    struct Whole(Counter, Counter);

    #[async_trait]
    impl StreamHandler for Whole {
        async fn serve(&self, _: Caller, _: Bytes, stream: &mut Stream) -> Result<(), Fault> {
            loop {
                match stream.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => self.0.count(),
                    Err(StreamError::Closed(_)) => self.1.count(),
                    Err(other) => panic!("{other}"),
                }
                if self.0.get() + self.1.get() > 0 {
                    return Ok(());
                }
            }
        }
    }

    let (world, whole, broken) = (World::new(), Counter::default(), Counter::default());
    let handler = Whole(whole.clone(), broken.clone());
    let server = world.serve(Router::new().on_stream(StreamMethod::RaftSnapshot, handler)).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let opened = client.open(&peer, StreamMethod::RaftSnapshot, Bytes::new(), soon()).await;
    let mut stream = opened.expect("a stream");
    stream.send(Bytes::from("a part")).await.expect("sent");
    drop(stream);
    until("the handler's verdict", || whole.get() + broken.get() == 1).await;
    assert_eq!((whole.get(), broken.get()), (0, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_fault_ends_a_stream_with_its_reason() {
    let world = World::new();
    let server = world.serve(router()).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let opened = client.open(&peer, StreamMethod::RaftSnapshot, Bytes::new(), soon()).await;
    let mut stream = opened.expect("a stream");
    stream.send(Bytes::from("stop")).await.expect("sent");
    let error = within("the fault", stream.next()).await.expect_err("a fault");
    assert!(matches!(&error, StreamError::Fault(fault) if fault.text == "told to stop"), "{error}");
    let large = Bytes::from(vec![0; CHUNK_LIMIT as usize + 1]);
    assert!(matches!(stream.send(large).await, Err(StreamError::TooLarge { .. })));
    server.stop().await;
}

#[tokio::test]
async fn an_opening_is_refused_as_a_call_is() {
    let world = World::new();
    let server = world.serve(router()).await;
    let peer = server.peer();
    let open = |client: Client, method, size| {
        let peer = peer.clone();
        async move { client.open(&peer, method, Bytes::from(vec![0; size]), soon()).await.map(drop) }
    };
    let code = |result: Result<(), CallError>| {
        result.expect_err("refused").fault().map(|fault| fault.code)
    };
    let (server_node, worker) = (world.client(Role::Server, 2), world.client(Role::Worker, 3));
    let snapshot = StreamMethod::RaftSnapshot;
    assert_eq!(code(open(worker, snapshot, 0).await), Some(FaultCode::Forbidden));
    let watch = StreamMethod::ControlWatch;
    let unknown = code(open(server_node.clone(), watch, 0).await);
    assert_eq!(unknown, Some(FaultCode::UnknownMethod));
    let limit = snapshot.row().request_limit as usize;
    let large = open(server_node.clone(), snapshot, limit + 1).await.expect_err("too large");
    assert!(matches!(large, CallError::NotSent { .. }), "{large:?}");
    assert!(open(server_node, snapshot, limit).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_streams() {
    let world = World::new();
    let server = world.serve_with(router(), ServerLimits::default()).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let opened = client.open(&peer, StreamMethod::RaftSnapshot, Bytes::new(), soon()).await;
    let (_sender, mut receiver) = opened.expect("a stream").split();
    server.stop().await;
    let error = within("the end", receiver.next()).await.expect_err("no end of the stream");
    let stopped = matches!(&error, StreamError::Fault(fault) if fault.code == FaultCode::Stopped);
    assert!(stopped, "{error}");
}
