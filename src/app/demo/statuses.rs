//! The handlers of the demo network: items, threads, notifications.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::network::{Content, Member, State as Network, Status};

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// Longest text a status may have, in characters.
const LONGEST: usize = 5_000;

fn problem(status: StatusCode, text: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "error": text })))
}

fn member(content: &Content, headers: &HeaderMap) -> Result<Member, (StatusCode, Json<Value>)> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .and_then(|token| content.members.get(token))
        .cloned()
        .ok_or_else(|| problem(StatusCode::UNAUTHORIZED, "The access token is invalid"))
}

/// A form or a JSON object, as clients of this API send either.
fn fields(headers: &HeaderMap, body: &[u8]) -> Map<String, Value> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if json {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn account(host: &str, content: &Content, handle: &str) -> Value {
    let member = content.members.values().find(|member| member.handle == handle);
    json!({
        "id": member.map_or("0", |m| m.id.as_str()),
        "username": handle,
        "acct": handle,
        "display_name": member.map_or(handle, |m| m.display_name.as_str()),
        "url": format!("https://{host}/@{handle}"),
        "followers_count": 12,
    })
}

fn show_status(host: &str, content: &Content, status: &Status) -> Value {
    let answered = status.in_reply_to.as_ref().and_then(|id| content.statuses.iter().find(|other| &other.id == id));
    json!({
        "id": status.id,
        "uri": format!("https://{host}/users/{}/statuses/{}", status.author, status.id),
        "url": format!("https://{host}/@{}/{}", status.author, status.id),
        "account": account(host, content, &status.author),
        "content": format!("<p>{}</p>", escape(&status.text)),
        "created_at": status.created_at,
        "edited_at": status.edited_at,
        "in_reply_to_id": status.in_reply_to,
        "in_reply_to_account_id": answered.map(|other| account(host, content, &other.author).get("id").cloned()),
        "visibility": status.visibility,
        "favourites_count": status.favourites.len(),
        "reblogs_count": status.boosts.len(),
        "mentions": [],
        "media_attachments": [],
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn find<'a>(content: &'a mut Content, id: &str) -> Result<&'a mut Status, (StatusCode, Json<Value>)> {
    content
        .statuses
        .iter_mut()
        .find(|status| status.id == id)
        .ok_or_else(|| problem(StatusCode::NOT_FOUND, "Record not found"))
}

/// `GET /api/v1/instance`.
pub(super) async fn instance(State(network): State<Arc<Network>>) -> Json<Value> {
    Json(json!({ "uri": network.host, "title": "The square", "version": "4.3.0", "urls": {} }))
}

/// `GET /api/v1/accounts/verify_credentials`.
pub(super) async fn verify_credentials(State(network): State<Arc<Network>>, headers: HeaderMap) -> Answer {
    let content = network.content.lock();
    let member = member(&content, &headers)?;
    Ok(Json(account(&network.host, &content, &member.handle)))
}

/// `POST /api/v1/statuses`.
pub(super) async fn create(State(network): State<Arc<Network>>, headers: HeaderMap, body: Bytes) -> Answer {
    let fields = fields(&headers, &body);
    let typed = text(&fields, "status").unwrap_or_default();
    if typed.trim().is_empty() || typed.chars().count() > LONGEST {
        return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, "Validation failed: Text can't be blank or too long"));
    }
    let mut content = network.content.lock();
    let author = member(&content, &headers)?.handle;
    content.last_id += 1;
    let status = Status {
        id: (110_000_000_000_000 + content.last_id).to_string(),
        author,
        text: typed,
        in_reply_to: text(&fields, "in_reply_to_id"),
        visibility: text(&fields, "visibility").unwrap_or_else(|| "public".to_owned()),
        created_at: network.clock.now().to_string(),
        edited_at: None,
        favourites: Vec::new(),
        boosts: Vec::new(),
    };
    content.statuses.push(status.clone());
    Ok(Json(show_status(&network.host, &content, &status)))
}

/// `GET /api/v1/statuses/{id}`.
pub(super) async fn show(State(network): State<Arc<Network>>, Path(id): Path<String>) -> Answer {
    let mut content = network.content.lock();
    let status = find(&mut content, &id)?.clone();
    Ok(Json(show_status(&network.host, &content, &status)))
}

/// `PUT /api/v1/statuses/{id}`.
pub(super) async fn edit(
    State(network): State<Arc<Network>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let typed = text(&fields(&headers, &body), "status").unwrap_or_default();
    let now = network.clock.now().to_string();
    let mut content = network.content.lock();
    let author = member(&content, &headers)?.handle;
    let status = find(&mut content, &id)?;
    if status.author != author {
        return Err(problem(StatusCode::NOT_FOUND, "Record not found"));
    }
    status.text = typed;
    status.edited_at = Some(now);
    let status = status.clone();
    Ok(Json(show_status(&network.host, &content, &status)))
}

/// `DELETE /api/v1/statuses/{id}`.
pub(super) async fn delete(State(network): State<Arc<Network>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut content = network.content.lock();
    let author = member(&content, &headers)?.handle;
    let status = find(&mut content, &id)?.clone();
    if status.author != author {
        return Err(problem(StatusCode::NOT_FOUND, "Record not found"));
    }
    let mut shown = show_status(&network.host, &content, &status);
    if let Some(object) = shown.as_object_mut() {
        object.insert("text".to_owned(), Value::String(status.text));
    }
    content.statuses.retain(|other| other.id != id);
    Ok(Json(shown))
}

/// `GET /api/v1/statuses/{id}/context`.
pub(super) async fn context(State(network): State<Arc<Network>>, Path(id): Path<String>) -> Answer {
    let mut content = network.content.lock();
    let asked = find(&mut content, &id)?.clone();
    let ancestors: Vec<Value> = content
        .statuses
        .iter()
        .filter(|other| asked.in_reply_to.as_ref() == Some(&other.id))
        .map(|other| show_status(&network.host, &content, other))
        .collect();
    let mut thread = vec![asked.id];
    let mut descendants = Vec::new();
    // Items are kept in the order written, so an answer always comes after what it answers: one pass finds the whole thread.
    for other in &content.statuses {
        if other.in_reply_to.as_ref().is_some_and(|parent| thread.contains(parent)) {
            thread.push(other.id.clone());
            descendants.push(show_status(&network.host, &content, other));
        }
    }
    Ok(Json(json!({ "ancestors": ancestors, "descendants": descendants })))
}

/// `POST /api/v1/statuses/{id}/favourite`.
pub(super) async fn favourite(
    State(network): State<Arc<Network>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let mut content = network.content.lock();
    let who = member(&content, &headers)?.handle;
    let status = find(&mut content, &id)?;
    if !status.favourites.contains(&who) {
        status.favourites.push(who);
    }
    let status = status.clone();
    Ok(Json(show_status(&network.host, &content, &status)))
}

/// `POST /api/v1/statuses/{id}/reblog`.
pub(super) async fn reblog(State(network): State<Arc<Network>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut content = network.content.lock();
    let who = member(&content, &headers)?.handle;
    let status = find(&mut content, &id)?;
    if !status.boosts.contains(&who) {
        status.boosts.push(who);
    }
    let status = status.clone();
    let shown = show_status(&network.host, &content, &status);
    Ok(Json(json!({ "id": format!("{}-b", status.id), "reblog": shown })))
}

/// `GET /api/v1/timelines/home`, newest first.
pub(super) async fn timeline(State(network): State<Arc<Network>>, headers: HeaderMap) -> Answer {
    let content = network.content.lock();
    member(&content, &headers)?;
    let shown: Vec<Value> =
        content.statuses.iter().rev().take(40).map(|status| show_status(&network.host, &content, status)).collect();
    Ok(Json(Value::Array(shown)))
}

/// `GET /api/v1/notifications`: answers by others to one's own items.
pub(super) async fn notifications(State(network): State<Arc<Network>>, headers: HeaderMap) -> Answer {
    let content = network.content.lock();
    let me = member(&content, &headers)?.handle;
    let mine = |id: &String| content.statuses.iter().any(|status| &status.id == id && status.author == me);
    let shown: Vec<Value> = content
        .statuses
        .iter()
        .rev()
        .filter(|status| status.author != me && status.in_reply_to.as_ref().is_some_and(mine))
        .take(40)
        .map(|status| {
            json!({
                "id": format!("n{}", status.id),
                "type": "mention",
                "created_at": status.created_at,
                "account": account(&network.host, &content, &status.author),
                "status": show_status(&network.host, &content, status),
            })
        })
        .collect();
    Ok(Json(Value::Array(shown)))
}
