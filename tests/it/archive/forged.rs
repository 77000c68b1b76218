//! Entries of our own making, handed to `ledger.append` as somebody would who holds the append role.

use std::fmt::Write as _;

use muniment::archive::Appended;
use sqlx::{AssertSqlSafe, PgConnection};

/// A source that has written nothing yet.
pub(super) const SOURCE: &str = "0198c0de-0000-7000-8000-0000000000aa";
pub(super) const STREAM: &str = "0198c0de-0000-7000-8000-0000000000b1";

/// What the database is told of an entry, and the bytes that it is given for it.
#[derive(Clone)]
pub(super) struct Forged {
    pub(super) index: u64,
    pub(super) id: String,
    pub(super) actor: String,
    pub(super) at: String,
    pub(super) previous: String,
    /// The member behind the time of the writer's clock.
    pub(super) commitments: String,
    pub(super) detail: String,
    pub(super) record: Option<String>,
    pub(super) source_index: u64,
    pub(super) streams: Vec<(String, u64)>,
    pub(super) sort: String,
    /// Other bytes than those that say all this.
    pub(super) bytes: Option<String>,
}

impl Forged {
    /// One that may follow.
    pub(super) fn after(last: &Appended) -> Self {
        Self {
            index: last.index + 1,
            id: "0198c0de-0000-7000-8000-000000000001".to_owned(),
            actor: "service:test".to_owned(),
            at: last.at.to_string(),
            previous: last.leaf.to_string(),
            commitments: r#""commitments":{}"#.to_owned(),
            detail: "{}".to_owned(),
            record: None,
            source_index: 0,
            streams: vec![(STREAM.to_owned(), 0)],
            sort: "gap".to_owned(),
            bytes: None,
        }
    }

    /// One of a record, which commits to something.
    pub(super) fn of_record(last: &Appended, record: &str) -> Self {
        let commitments = format!(r#""commitments":{{"0.text":"{}"}}"#, "A".repeat(43));
        Self { record: Some(record.to_owned()), commitments, ..Self::after(last) }
    }

    /// How an entry begins.
    pub(super) fn front(&self) -> String {
        let Self { actor, at, commitments, .. } = self;
        format!(r#""actor":"{actor}","at":"{at}","captured_at":"2026-01-01T00:00:00.000000Z",{commitments}"#)
    }

    /// How it ends.
    pub(super) fn tail(&self) -> String {
        let Self { id, index, previous, source_index, sort, .. } = self;
        let mut text = format!(r#""id":"{id}","index":{index},"previous":"{previous}""#);
        if let Some(record) = &self.record {
            write!(text, r#","record":"{record}""#).unwrap();
        }
        let stream = |(id, index): &(String, u64)| format!(r#"{{"id":"{id}","index":{index}}}"#);
        let streams: Vec<String> = self.streams.iter().map(stream).collect();
        let streams = streams.join(",");
        write!(
            text,
            r#","source":"{SOURCE}","source_index":{source_index},"streams":[{streams}],"type":"{sort}","v":1"#
        )
        .unwrap();
        text
    }

    pub(super) fn body(&self) -> String {
        let said = || format!(r#"{{{},"detail":{},{}}}"#, self.front(), self.detail, self.tail());
        self.bytes.clone().unwrap_or_else(said)
    }
}

/// A group, and the content that is to come with it. Content is given as SQL: a place, or a row of its table.
#[derive(Clone, Default)]
pub(super) struct Call {
    pub(super) entries: Vec<Forged>,
    /// Places said to be plain; those that are, if nothing is said.
    pub(super) plain: Option<Vec<usize>>,
    pub(super) keyed: Vec<usize>,
    pub(super) fields: Vec<String>,
    pub(super) blobs: Vec<i32>,
    /// Streams said to be there, besides those of the entries.
    pub(super) stray_streams: Vec<(String, u64, usize)>,
}

impl Call {
    pub(super) fn of(entries: impl Into<Vec<Forged>>) -> Self {
        Self { entries: entries.into(), ..Self::default() }
    }

    pub(super) fn statement(&self) -> String {
        fn list<T: ToString>(cast: &str, values: impl IntoIterator<Item = T>) -> String {
            let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
            format!("array[{}]::{cast}[]", values.join(", "))
        }
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let entries = || self.entries.iter();
        let first = &self.entries[0];
        let body = |entry: &Forged| format!("convert_to({}, 'UTF8')", quoted(&entry.body()));
        let is_plain = |entry: &Forged| entry.record.is_some() && entry.commitments == r#""commitments":{}"#;
        let places = || (1..).zip(&self.entries);
        let plain = self
            .plain
            .clone()
            .unwrap_or_else(|| places().filter(|(_, entry)| is_plain(entry)).map(|(place, _)| place).collect());
        let mut streams: Vec<(String, u64, usize)> = places()
            .flat_map(|(place, entry)| entry.streams.iter().map(move |(id, index)| (id.clone(), *index, place)))
            .collect();
        let mut count = 0;
        let ends: Vec<usize> = entries()
            .map(|entry| {
                count += entry.streams.len();
                count
            })
            .collect();
        streams.extend(self.stray_streams.iter().cloned());
        let arguments = [
            first.index.to_string(),
            format!("decode('{}', 'hex')", first.previous),
            format!("'{}'", first.at),
            "clock_timestamp()".to_owned(),
            "60".to_owned(),
            format!("'{SOURCE}'"),
            (entries().last().unwrap().source_index + 1).to_string(),
            list("uuid", entries().map(|entry| quoted(&entry.id))),
            list("bytea", entries().map(|entry| format!("sha256('\\x00'::bytea || {})", body(entry)))),
            list("bytea", entries().map(body)),
            list("text", entries().map(|entry| quoted(&entry.actor))),
            list("text", entries().map(|entry| quoted(&entry.sort))),
            list("uuid", entries().map(|entry| entry.record.as_deref().map_or("null".to_owned(), quoted))),
            list("integer", plain),
            list("integer", ends),
            list("uuid", streams.iter().map(|(id, ..)| quoted(id))),
            list("bigint", streams.iter().map(|(_, index, _)| index)),
            list("integer", streams.iter().map(|(.., place)| place)),
            list("integer", &self.keyed),
            list("bytea", self.keyed.iter().map(|_| "decode(repeat('00', 69), 'hex')")),
            list("content.sealed", self.fields.iter().map(|row| format!("row({row})::content.sealed"))),
            list("bytea", self.blobs.iter().map(|place| format!("sha256('{place}')"))),
            list("integer", &self.blobs),
            list("text", self.blobs.iter().map(|_| "'9.text'")),
            list("bigint", self.blobs.iter().map(|_| 7)),
        ];
        format!("select moved from ledger.append({})", arguments.join(", "))
    }

    /// Why it is refused.
    pub(super) async fn refused(&self, connection: &mut PgConnection) -> String {
        match sqlx::query_scalar::<_, bool>(AssertSqlSafe(self.statement())).fetch_one(connection).await {
            Ok(moved) => panic!("it was not refused (the head moved: {moved})"),
            Err(error) => error.to_string(),
        }
    }

    /// Does the head move? Whatever happens is undone.
    pub(super) async fn moves(&self, connection: &mut PgConnection) -> bool {
        sqlx::raw_sql("begin").execute(&mut *connection).await.unwrap();
        let moved = sqlx::query_scalar(AssertSqlSafe(self.statement())).fetch_one(&mut *connection).await.unwrap();
        sqlx::raw_sql("rollback").execute(connection).await.unwrap();
        moved
    }
}
