//! Each communication as a mail (RFC 5322), which every mail program and review tool opens.

use super::message::{Message, Person};
use super::mime::{attachment_head, body, date, header, mailbox, media_type, raw_header, short_digest};
use crate::bundle::paths;
use crate::bundle::query::BundleQuery;
use crate::record::Part;

/// Recipients in the header; of more it is said how many.
const TO_MAX: usize = 100;

/// The path of a communication's mail.
pub(super) fn path(message: &Message<'_>) -> String {
    format!("{}{}.eml", paths::EML, message.id())
}

fn person(person: &Person, network: &str) -> String {
    mailbox(person.display(), person.handle.as_deref().unwrap_or(person.account()), network)
}

/// Its text.
pub(super) fn mail(message: &Message<'_>, query: &BundleQuery) -> String {
    let mut mail = String::new();
    raw_header("Date", &date(message.sent_at()), &mut mail);
    let from = match &message.author {
        Some(author) => person(author, &message.network),
        None => mailbox(message.by(), "", &message.network),
    };
    raw_header("From", &from, &mut mail);
    let to: Vec<_> = message.recipients.iter().take(TO_MAX).map(|to| person(to, &message.network)).collect();
    if !to.is_empty() {
        raw_header("To", &to.join(",\r\n "), &mut mail);
    }
    header("Subject", &format!("{} on {}", message.kind, message.network), &mut mail);
    raw_header("Message-ID", &format!("<{}@bundle.invalid>", message.id()), &mut mail);
    // One that nobody sent: it makes a mail program show together what belongs together.
    let thread = short_digest(&[message.network.as_bytes(), b"\0", message.thread().as_bytes()]);
    raw_header("References", &format!("<{thread}@thread.invalid>"), &mut mail);
    about(message, query, &mut mail);
    raw_header("MIME-Version", "1.0", &mut mail);
    let boundary = format!("=_{}", query.bundle.simple());
    raw_header("Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\""), &mut mail);
    let open = |mail: &mut String| mail.push_str(&format!("\r\n--{boundary}\r\n"));
    open(&mut mail);
    raw_header("Content-Type", "text/plain; charset=utf-8", &mut mail);
    raw_header("Content-Transfer-Encoding", "base64", &mut mail);
    mail.push_str("\r\n");
    body(text(message).as_bytes(), &mut mail);
    for attached in &message.attached {
        if let Some(bytes) = attached.bytes {
            open(&mut mail);
            attachment_head(&attached.name, media_type(attached.media_type.as_deref()), &mut mail);
            mail.push_str("\r\n");
            body(bytes, &mut mail);
        }
    }
    mail.push_str(&format!("\r\n--{boundary}--\r\n"));
    mail
}

/// What ties the mail to the record that it was made from.
fn about(message: &Message<'_>, query: &BundleQuery, mail: &mut String) {
    let entry = &message.shown.entry;
    let facts = [
        ("X-Muniment-Bundle", query.bundle.to_string()),
        ("X-Muniment-Record", message.record.id.to_string()),
        ("X-Muniment-Entry", entry.index().to_string()),
        ("X-Muniment-Leaf", entry.leaf().to_string()),
        ("X-Muniment-Kept-At", entry.at().to_string()),
        ("X-Muniment-Advisors", message.shown.advisors()),
        ("X-Muniment-Network", message.network.clone()),
        ("X-Muniment-Kind", message.kind.clone()),
        ("X-Muniment-Direction", message.direction.clone()),
        ("X-Muniment-Outcome", message.outcome.clone()),
        ("X-Muniment-Author", message.author.as_ref().map(|author| author.account().to_owned()).unwrap_or_default()),
        ("X-Muniment-Item", message.part(Part::Item).unwrap_or_default()),
        ("X-Muniment-Parent", message.part(Part::Parent).unwrap_or_default()),
        ("X-Muniment-Conversation", message.part(Part::Conversation).unwrap_or_default()),
        ("X-Muniment-Permalink", message.part(Part::Permalink).unwrap_or_default()),
        ("X-Muniment-Occurred-At", message.part(Part::OccurredAt).unwrap_or_default()),
        ("X-Muniment-Withheld", message.withheld()),
    ];
    for (name, value) in facts.iter().filter(|(_name, value)| !value.is_empty()) {
        header(name, value, mail);
    }
}

/// What a reader sees.
fn text(message: &Message<'_>) -> String {
    let mut text = message.words();
    text.push_str("\n\n-- \nMade for reading from entry ");
    text.push_str(&format!(
        "{} of record {}; the record is the evidence.\n",
        message.shown.entry.index(),
        message.record.id
    ));
    if let Some(more) = message.recipients.len().checked_sub(TO_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("To {more} more, whom the record names.\n"));
    }
    for attached in message.attached.iter().filter(|attached| attached.bytes.is_none()) {
        text.push_str(&format!("Attached there, and not here: {}\n", attached.name.replace(char::is_control, " ")));
    }
    text
}
