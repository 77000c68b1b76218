//! What must hold of the bytes that the proxy reads, whatever they are. For `crate::fuzzing` only.

use super::decide::connect_target;
use super::http::http1::absolute;
use super::sse::{Cut, Splitter};

pub(crate) use super::http::fuzz::{http1_body, http1_request, http1_response, uncode};
pub(crate) use super::websocket::fuzz::websocket;

/// A target is read in one way only, and a hidden name is found in any rhythm.
pub(crate) fn connect(data: &[u8]) {
    if let Ok(authority) = connect_target(data) {
        assert_eq!(connect_target(authority.to_string().as_bytes()).as_ref(), Ok(&authority));
        assert!(authority.port() != 0 && authority.host().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some((scheme, authority, path)) = absolute(text)
    {
        let again = absolute(&format!("{}://{authority}{path}", scheme.as_str()));
        assert_eq!(again, Some((scheme, authority, path)));
    }
    let whole = super::tunnel::hides_listed_name(data, data.len().max(1));
    for size in [1, 7] {
        assert_eq!(super::tunnel::hides_listed_name(data, size), whole, "by {size}");
    }
}

/// Messages do not depend on the rhythm of arrival, and no more bytes come out than went in.
pub(crate) fn sse(data: &[u8]) {
    for cut in [Cut::Events, Cut::Lines] {
        let give = |size: usize| {
            let mut splitter = Splitter::new(cut);
            data.chunks(size.max(1)).for_each(|part| splitter.push(part));
            splitter.finish();
            let dropped = splitter.take_dropped();
            (std::iter::from_fn(move || splitter.take()).collect::<Vec<_>>(), dropped)
        };
        let whole = give(data.len());
        assert_eq!(give(1), whole);
        assert_eq!(give(5), whole);
        assert!(whole.0.iter().map(|piece| piece.data.len()).sum::<usize>() <= data.len());
        let control = |byte: &u8| matches!(byte, b'\n' | b'\r');
        assert!(cut == Cut::Events || whole.0.iter().all(|piece| !piece.data.contains(&b'\n')));
        assert!(
            whole.0.iter().all(|piece| piece.event.as_ref().is_none_or(|name| !name.as_bytes().iter().any(control)))
        );
    }
}
