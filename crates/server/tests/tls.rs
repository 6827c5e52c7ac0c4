//! TLS, and passwords bound to it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::wire;
use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    message::{backend::Message, frontend},
};
use rustling_server::{Certificate, Server, ServerOptions};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName},
};

struct Place {
    server: Server,
    certificate: CertificateDer<'static>,
}

impl Place {
    fn new(require_tls: bool) -> Place {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = made.cert.pem();
        let key = made.signing_key.serialize_pem();
        let mut options = ServerOptions::new().listen_on("127.0.0.1:0".parse().unwrap());
        options.certificate =
            Some(Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
        options.require_tls = require_tls;
        Place {
            server: Server::start(wire::database(), options).unwrap(),
            certificate: made.cert.der().clone(),
        }
    }

    fn encrypted(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut plain = wire::connect(&self.server);
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        plain.write_all(&request).unwrap();
        let mut answer = [0];
        plain.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, plain)
    }

    fn binding(&self) -> ChannelBinding {
        ChannelBinding::tls_server_end_point(Sha256::digest(&self.certificate).to_vec())
    }
}

/// Logs in; the offered mechanisms, and the error's SQLSTATE or the parameters' count.
fn log_in(
    stream: &mut (impl Read + Write),
    mechanism: &str,
    binding: ChannelBinding,
    password: &str,
) -> (Vec<String>, Result<usize, String>) {
    let mut input = BytesMut::new();
    let mut out = BytesMut::new();
    frontend::startup_message([("user", "ann")], &mut out).unwrap();
    let mut exchange = ScramSha256::new(password.as_bytes(), binding);
    let mut mechanisms = Vec::new();
    let mut parameters = 0;
    loop {
        stream.write_all(&out).unwrap();
        stream.flush().unwrap();
        out.clear();
        let message = loop {
            if let Some(message) = Message::parse(&mut input).unwrap() {
                break message;
            }
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the connection ended");
            input.extend_from_slice(&bytes[..count]);
        };
        match message {
            Message::AuthenticationSasl(body) => {
                use fallible_iterator::FallibleIterator;
                let offered = body.mechanisms().map(|name| Ok(name.to_owned()));
                mechanisms = offered.collect().unwrap();
                frontend::sasl_initial_response(mechanism, exchange.message(), &mut out).unwrap();
            }
            Message::AuthenticationSaslContinue(body) => {
                exchange.update(body.data()).unwrap();
                frontend::sasl_response(exchange.message(), &mut out).unwrap();
            }
            // The server proves that it knows the password too.
            Message::AuthenticationSaslFinal(body) => exchange.finish(body.data()).unwrap(),
            Message::ParameterStatus(_) => parameters += 1,
            Message::ErrorResponse(body) => {
                use fallible_iterator::FallibleIterator;
                let state = body
                    .fields()
                    .find(|field| Ok(field.type_() == b'C'))
                    .unwrap()
                    .map(|field| String::from_utf8_lossy(field.value_bytes()).into_owned());
                return (mechanisms, Err(state.unwrap()));
            }
            Message::ReadyForQuery(_) => return (mechanisms, Ok(parameters)),
            _ => {}
        }
    }
}

#[test]
fn a_password_is_bound_to_the_connection() {
    let place = Place::new(false);
    let (mechanisms, result) = log_in(
        &mut place.encrypted(),
        SCRAM_SHA_256_PLUS,
        place.binding(),
        "secret",
    );
    assert_eq!(mechanisms, [SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
    assert!(result.unwrap() > 5);
    let (_, wrong) = log_in(
        &mut place.encrypted(),
        SCRAM_SHA_256_PLUS,
        place.binding(),
        "wrong",
    );
    assert_eq!(wrong, Err("28P01".to_owned()));
}

#[test]
fn whoever_sits_between_is_found_out() {
    let place = Place::new(false);
    // Bound to another certificate: that of somebody who decrypts and passes on.
    let other = ChannelBinding::tls_server_end_point(Sha256::digest(b"another").to_vec());
    let (_, result) = log_in(&mut place.encrypted(), SCRAM_SHA_256_PLUS, other, "secret");
    assert!(result.is_err());
    // A client that could bind and saw no offer to: somebody took it out.
    let (_, result) = log_in(
        &mut place.encrypted(),
        SCRAM_SHA_256,
        ChannelBinding::unrequested(),
        "secret",
    );
    assert!(result.is_err(), "a downgrade was not noticed");
    // One that cannot bind may do without.
    let (_, result) = log_in(
        &mut place.encrypted(),
        SCRAM_SHA_256,
        ChannelBinding::unsupported(),
        "secret",
    );
    assert!(result.is_ok());
}

#[test]
fn nothing_is_bound_in_the_clear() {
    let place = Place::new(false);
    let (mechanisms, result) = log_in(
        &mut wire::connect(&place.server),
        SCRAM_SHA_256,
        ChannelBinding::unsupported(),
        "secret",
    );
    assert_eq!(mechanisms, [SCRAM_SHA_256]);
    assert!(result.is_ok());
    let (_, result) = log_in(
        &mut wire::connect(&place.server),
        SCRAM_SHA_256_PLUS,
        place.binding(),
        "secret",
    );
    assert_eq!(result, Err("08P01".to_owned()));
}

#[test]
fn connections_in_the_clear_are_refused_where_tls_is_required() {
    let place = Place::new(true);
    let (_, result) = log_in(
        &mut wire::connect(&place.server),
        SCRAM_SHA_256,
        ChannelBinding::unsupported(),
        "secret",
    );
    assert_eq!(result, Err("28000".to_owned()));
    let (_, result) = log_in(
        &mut place.encrypted(),
        SCRAM_SHA_256_PLUS,
        place.binding(),
        "secret",
    );
    assert!(result.is_ok());
}

#[test]
fn a_client_that_does_not_read_is_ended_under_tls_too() {
    let place = Place::new(false);
    let mut deaf = place.encrypted();
    let (_, result) = log_in(&mut deaf, SCRAM_SHA_256_PLUS, place.binding(), "secret");
    result.unwrap();
    let much = b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)\0";
    deaf.write_all(&wire::message(b'Q', much)).unwrap();
    deaf.flush().unwrap();
    // There is soon no room for more of it.
    std::thread::sleep(Duration::from_secs(3));
    let mut other = wire::connect(&place.server);
    let unbound = ChannelBinding::unsupported();
    let (_, result) = log_in(&mut other, SCRAM_SHA_256, unbound, "secret");
    result.unwrap();
    let terminate = b"SELECT 'ended: ' || count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                      WHERE state = 'active' AND pid <> pg_backend_pid()\0";
    other.write_all(&wire::message(b'Q', terminate)).unwrap();
    let answer = wire::read_ready(&mut other);
    assert!(wire::contains(&answer, "ended: 1"), "{answer:?}");
    let end = Instant::now() + Duration::from_secs(20);
    while place.server.connections() > 1 {
        assert!(Instant::now() < end, "the session goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(deaf);
}
