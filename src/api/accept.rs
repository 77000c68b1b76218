//! Which representations a request accepts (RFC 9110, section 12.5.1), and which there are.

use std::collections::HashMap;

use axum::http::{HeaderMap, header};
use utoipa::openapi::{OpenApi, RefOr};

use super::decision::{DECISIONS, Decision};

/// The media types of every route's answers, as the document has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers(HashMap<&'static str, Vec<String>>);

impl Offers {
    /// Reads them off the document, so that they are what it says.
    pub(super) fn of(document: &OpenApi) -> Self {
        let offers = DECISIONS.iter().filter_map(|decision| {
            let item = document.paths.paths.get(&Decision::documented(decision.path))?;
            let operations = [&item.get, &item.post, &item.patch, &item.delete].into_iter().flatten();
            let responses = operations.flat_map(|operation| &operation.responses.responses);
            let good = responses.filter(|(status, _)| status.starts_with('2'));
            let types = good.filter_map(|(_, response)| match response {
                RefOr::T(response) => Some(response.content.keys().cloned()),
                RefOr::Ref(_) => None,
            });
            Some((decision.path, types.flatten().collect()))
        });
        Self(offers.collect())
    }

    /// Whether the request takes any of what the route has. A route whose types are not known has what is asked for.
    pub(super) fn suit(&self, route: &str, headers: &HeaderMap) -> bool {
        let Some(offered) = self.0.get(route).filter(|offered| !offered.is_empty()) else { return true };
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range<'_>> = values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
        ranges.is_empty() || offered.iter().any(|offer| takes(&ranges, offer))
    }

    /// What the route has, for the refusal.
    pub(super) fn text(&self, route: &str) -> String {
        self.0.get(route).map(|offered| offered.join(", ")).unwrap_or_default()
    }
}

/// One media range with its weight: zero is a refusal.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    refused: bool,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let refused = weight.is_some_and(|(_, weight)| weight.trim().parse() == Ok(0.0_f32));
        Some(Self { main, sub, refused })
    }

    /// How exactly it names the type; none where it does not.
    fn names(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (of, "*") if of.eq_ignore_ascii_case(main) => Some(1),
            (of, exactly) if of.eq_ignore_ascii_case(main) && exactly.eq_ignore_ascii_case(sub) => Some(2),
            _ => None,
        }
    }
}

/// The most exact range decides.
fn takes(ranges: &[Range<'_>], offer: &str) -> bool {
    let Some((main, sub)) = offer.split_once('/').filter(|(main, _)| *main != "*") else { return true };
    let named = ranges.iter().filter_map(|range| Some((range.names(main, sub)?, range)));
    named.max_by_key(|(exactness, _)| *exactness).is_some_and(|(_, range)| !range.refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_range_decides_and_zero_refuses() {
        let offers = Offers([("/x", vec!["application/json".to_owned()])].into());
        let suits = |accept: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            offers.suit("/x", &headers)
        };
        for good in [
            "*/*",
            "application/*",
            "application/json",
            "text/html, APPLICATION/JSON;q=0.1",
            "image/png, */*;q=0.1",
            "nonsense",
        ] {
            assert!(suits(&[good]), "{good}");
        }
        for bad in ["text/html", "application/xml", "*/*;q=0", "application/json;q=0, */*", "application/json; q=0.000"]
        {
            assert!(!suits(&[bad]), "{bad}");
        }
        assert!(suits(&[]) && suits(&["text/html", "application/json"]));
        assert!(offers.suit("/unknown", &HeaderMap::new()));
    }
}
