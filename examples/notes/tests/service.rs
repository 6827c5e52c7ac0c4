//! The service as its users meet it, on a database in memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use rustling_query::AsyncDatabase;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn service() -> Router {
    notes::service(AsyncDatabase::in_memory().unwrap())
        .await
        .unwrap()
}

async fn send(service: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn post(service: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    send(service, request).await
}

async fn get(service: &Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (status, body) = send(service, request).await;
    assert_eq!(status, StatusCode::OK);
    body
}

fn titles(found: &Value) -> Vec<&str> {
    let notes = found.as_array().unwrap();
    notes
        .iter()
        .map(|note| note["title"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn notes_are_written_found_and_handed_over() {
    let service = service().await;
    for name in ["Ada", "Grace"] {
        let (status, _) = post(&service, "/authors", json!({ "name": name })).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    for (author_id, title, body) in [
        (1, "Engines", Some("They might compose music.")),
        (1, "Numbers", None),
        (2, "Bugs", Some("A moth.")),
    ] {
        let new = json!({
            "author_id": author_id, "title": title, "body": body, "labels": ["old", "true"],
        });
        let (status, note) = post(&service, "/notes", new).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(note["labels"], json!(["old", "true"]));
        assert_eq!(note["state"], "draft");
    }
    assert!(titles(&get(&service, "/notes").await).is_empty());
    for id in 1..=3 {
        let path = format!("/notes/{id}/publish");
        let (status, _) = post(&service, &path, Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let all = get(&service, "/notes").await;
    assert_eq!(titles(&all), ["Bugs", "Engines", "Numbers"]);
    let found = get(&service, "/notes?text=MUSIC").await;
    assert_eq!(titles(&found), ["Engines"]);
    let newest = get(&service, "/notes?author=Ada&order=newest&limit=1").await;
    assert_eq!(titles(&newest), ["Numbers"]);
    let (_, moved) = post(&service, "/authors/1/hand-over", json!({ "to": 2 })).await;
    assert_eq!(moved, json!(2));
    let authors = get(&service, "/authors").await;
    assert_eq!(
        (&authors[0]["notes"], &authors[1]["notes"]),
        (&json!(0), &json!(3))
    );
    assert!(titles(&get(&service, "/authors/1/notes").await).is_empty());
    assert_eq!(titles(&get(&service, "/authors/2/notes").await).len(), 3);
}

#[tokio::test]
async fn mistakes_have_their_status() {
    let service = service().await;
    post(&service, "/authors", json!({ "name": "Ada" })).await;
    for (path, body, expected) in [
        ("/authors", json!({ "name": "Ada" }), StatusCode::CONFLICT),
        (
            "/authors",
            json!({ "name": "" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/notes",
            json!({ "author_id": 9, "title": "x" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/authors/1/hand-over",
            json!({ "to": 9 }),
            StatusCode::NOT_FOUND,
        ),
        ("/notes/9/publish", Value::Null, StatusCode::NOT_FOUND),
    ] {
        let (status, _) = post(&service, path, body).await;
        assert_eq!(status, expected, "{path}");
    }
}

#[tokio::test]
async fn notes_written_at_once_are_all_counted() {
    let service = service().await;
    post(&service, "/authors", json!({ "name": "Ada" })).await;
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(async move {
                let new = json!({ "author_id": 1, "title": format!("note {number}") });
                post(&service, "/notes", new).await.0
            })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap(), StatusCode::CREATED);
    }
    assert_eq!(get(&service, "/authors").await[0]["notes"], 20);
}
