//! The script: who posts, who answers, and what the officer then finds.

use std::fmt;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::DemoError;
use super::device::Device;
use super::stage::Stage;
use super::tamper::Caught;
use crate::app::{AppError, Output};

/// How long the projections may lag behind the script.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was played, for what comes after.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// Items the network accepted through the proxy.
    pub(super) sent: usize,
    /// Records an officer finds.
    pub(super) records: usize,
    /// Index of Ada's first post.
    pub(super) index: u64,
    /// A checkpoint that somebody outside holds.
    #[serde(skip)]
    pub(super) checkpoint: String,
}

/// The command's answer.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    story: &'a Story,
    caught: &'a [Caught],
}

impl<'a> Summary<'a> {
    pub(super) const fn of(story: &'a Story, caught: &'a [Caught]) -> Self {
        Self { story, caught }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} items went through the proxy, {} records were kept, and {} attempts to tamper were caught.",
            self.story.sent,
            self.story.records,
            self.caught.len()
        )
    }
}

async fn send(device: &Device, method: Method, path: &str, body: Option<Value>) -> Result<Value, DemoError> {
    let (status, value) = device.send(method.clone(), path, body.as_ref()).await?;
    if status.is_success() {
        return Ok(value);
    }
    Err(DemoError::Unexpected(format!("{method} {path} was answered {status}")))
}

fn id(status: &Value) -> Result<String, DemoError> {
    let id = status.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| DemoError::Unexpected("the network gave an item without an id".to_owned()))
}

pub(super) async fn play(stage: &Stage, output: Output) -> Result<Story, AppError> {
    output.note("A firm with a proxy, an archive and an audit API, and a social network that knows nothing of it. All on loopback.\n");
    let statuses = "/api/v1/statuses";
    output.note("Ada posts through the proxy:      \"Markets are calm today.\"");
    let first = send(&stage.ada, Method::POST, statuses, Some(json!({"status": "Markets are calm today."}))).await?;
    let first = id(&first)?;
    output.note("Ben replies through the proxy:    \"Not in Frankfurt.\"");
    let reply = json!({"status": "Not in Frankfurt.", "in_reply_to_id": first});
    let reply = id(&send(&stage.ben, Method::POST, statuses, Some(reply)).await?)?;
    output.note("Carla, a customer, replies directly, past the proxy; Ada's device reads it");
    let question = json!({"status": "@ada should I sell?", "in_reply_to_id": first});
    send(&stage.carla, Method::POST, statuses, Some(question)).await?;
    send(&stage.ada, Method::GET, "/api/v1/accounts/verify_credentials", None).await?;
    send(&stage.ada, Method::GET, "/api/v1/notifications", None).await?;
    output.note("Ben thinks better of it:          edits to \"Frankfurt is calm as well.\"");
    let edited = json!({"status": "Frankfurt is calm as well."});
    send(&stage.ben, Method::PUT, &format!("{statuses}/{reply}"), Some(edited)).await?;
    output.note("Ada likes that, and posts again\n");
    send(&stage.ada, Method::POST, &format!("{statuses}/{reply}/favourite"), None).await?;
    send(&stage.ada, Method::POST, statuses, Some(json!({"status": "See you tomorrow."}))).await?;
    let sent = 5;

    let records = found(stage, sent).await?;
    output.note("Olga, a compliance officer, asks the API. Her looking is itself on record, with its purpose:\n");
    output.note(format!("  {:>5}  {:<12} {:<10} {:<9} text", "entry", "type", "kind", "outcome"));
    let mut index = None;
    for record in &records {
        let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
        let detail =
            stage.officer.get(&format!("/v1/records/{}", word(record.get("id")))).await.map_err(DemoError::from)?;
        let said = detail.pointer("/communications/0");
        let text = word(said.and_then(|said| said.get("text")));
        let place = record.get("index").and_then(Value::as_u64).unwrap_or(0);
        if text == "Markets are calm today." {
            index = Some(place);
        }
        output.note(format!(
            "  {place:>5}  {:<12} {:<10} {:<9} {text}",
            word(record.get("type")),
            word(said.and_then(|said| said.get("kind"))),
            word(record.pointer("/outcome/state")),
        ));
    }
    let index = index.ok_or_else(|| DemoError::Unexpected("Ada's first post is not among the records".to_owned()))?;
    let published = stage.service()?.archive.publish(true).await?;
    let checkpoint = published.map(|published| published.note).unwrap_or_default();
    output
        .note(format!("\nThe ledger is signed. Somebody outside keeps this checkpoint:\n\n{}", indented(&checkpoint)));
    let verified = stage.service()?.archive.verifier().run(|_finding| {}, |_progress| {}).await?;
    if !verified.sound {
        return Err(DemoError::Unexpected("the archive does not verify".to_owned()).into());
    }
    output.note("muniment verify: every entry, proof and sealed field was read again: sound.\n");
    Ok(Story { sent, records: records.len(), index, checkpoint })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The records, oldest first, once all writes have their outcome.
async fn found(stage: &Stage, sent: usize) -> Result<Vec<Value>, DemoError> {
    let ask = async {
        loop {
            let page = stage.officer.get("/v1/records?order=oldest").await?;
            let records = page.get("records").and_then(Value::as_array).cloned().unwrap_or_default();
            let answered = records.iter().filter(|record| record.get("outcome").is_some_and(Value::is_object)).count();
            if answered >= sent {
                return Ok::<_, DemoError>(records);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let late = |_elapsed| {
        DemoError::Unexpected(format!("fewer than {sent} records were kept within {} s", PATIENCE.as_secs()))
    };
    tokio::time::timeout(PATIENCE, ask).await.map_err(late)?
}
