//! The HTTP port that Prometheus asks: `GET /metrics`, and `GET /health` for whoever restarts what
//! does not answer.

use std::{collections::VecDeque, convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::AbortHandle, time::timeout};

use super::exposition;
use crate::connection::Shared;

/// Connections at a time: the oldest makes room for one more, since a request takes no time
/// unless whoever sends it stalls.
const CONNECTIONS: usize = 32;
/// Time that a request and its answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Pause after the system could not accept a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers until the server ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted: io::Result<_> = listener.accept().await;
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let shared = Arc::clone(&shared);
        let connection = tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&shared, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever is too slow or has gone is told nothing.
            drop(timeout(LIMIT, connection).await);
        });
        open.push_back(connection.abort_handle());
    }
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let now = shared.database.env().now();
            let connections = shared.connections();
            let text = exposition::text(&shared.metrics, &shared.database, connections, now);
            (StatusCode::OK, text)
        }
        (&Method::GET | &Method::HEAD, "/health") => (StatusCode::OK, "serving\n".to_owned()),
        (&Method::GET | &Method::HEAD, _) => (
            StatusCode::NOT_FOUND,
            "there are /metrics and /health\n".to_owned(),
        ),
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
