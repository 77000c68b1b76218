//! Where the values at some paths stand in a JSON text, found in one walk.

use std::collections::HashMap;
use std::ops::Range;

use super::{JsonError, Shape, Token, Tokens, text_of};

/// One step of a path into a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// An object's member.
    Key(String),
    /// An array's element.
    Index(u64),
}

/// The spans of the values at some paths, found in one walk. Where an object repeats a key, the last one counts, as for jq.
///
/// # Errors
/// When the bytes are no JSON text.
pub fn locate(bytes: &[u8], paths: &[Vec<Step>], depth: usize) -> Result<Vec<Option<Range<usize>>>, JsonError> {
    let mut wanted = Wanted::new(paths);
    let mut tokens = Tokens::new(bytes, depth);
    let mut open: Vec<Container> = Vec::new();
    while let Some((token, span)) = tokens.next()? {
        match token {
            Token::Key => {
                let Some(container) = open.last_mut() else { continue };
                container.member = container.node.filter(|node| wanted.has_children(*node)).and_then(|node| {
                    wanted.child(node, &Step::Key(text_of(bytes.get(span).unwrap_or_default()).into_owned()))
                });
            }
            Token::Begin(shape) => {
                let node = next_value(&mut open, &mut wanted);
                open.push(Container { shape, node, begin: span.start, member: None, count: 0 });
            }
            Token::End(_) => {
                if let Some(Container { node: Some(node), begin, .. }) = open.pop() {
                    wanted.found(node, begin..span.end);
                }
            }
            Token::String | Token::Number | Token::Word => {
                // Strings are spanned without their quotes; a value's span has them.
                let whole = if token == Token::String { span.start - 1..span.end + 1 } else { span };
                if let Some(node) = next_value(&mut open, &mut wanted) {
                    wanted.found(node, whole);
                }
            }
        }
    }
    Ok(wanted.spans)
}

/// An open object or array on the walk.
struct Container {
    shape: Shape,
    /// Where the wanted paths stand at it, if any leads here.
    node: Option<usize>,
    begin: usize,
    /// Of an object: where they stand at the member whose value comes next.
    member: Option<usize>,
    /// Of an array: elements before the next one.
    count: u64,
}

/// Where the wanted paths stand at the value that begins now.
fn next_value(open: &mut [Container], wanted: &mut Wanted) -> Option<usize> {
    let Some(container) = open.last_mut() else { return Some(0) };
    let node = match container.shape {
        Shape::Object => container.member.take(),
        Shape::Array => {
            let index = Step::Index(container.count);
            container.count += 1;
            container.node.and_then(|node| wanted.child(node, &index))
        }
    };
    if let Some(node) = node {
        wanted.forget(node);
    }
    node
}

/// The wanted paths as a tree; node 0 is the whole text.
struct Wanted {
    children: Vec<HashMap<Step, usize>>,
    /// Which paths end at a node.
    ends: Vec<Vec<usize>>,
    spans: Vec<Option<Range<usize>>>,
}

impl Wanted {
    fn new(paths: &[Vec<Step>]) -> Self {
        let mut wanted =
            Self { children: vec![HashMap::new()], ends: vec![Vec::new()], spans: vec![None; paths.len()] };
        for (number, path) in paths.iter().enumerate() {
            let mut at = 0;
            for step in path {
                let fresh = wanted.children.len();
                let Some(children) = wanted.children.get_mut(at) else { break };
                at = *children.entry(step.clone()).or_insert(fresh);
                if at == fresh {
                    wanted.children.push(HashMap::new());
                    wanted.ends.push(Vec::new());
                }
            }
            if let Some(ends) = wanted.ends.get_mut(at) {
                ends.push(number);
            }
        }
        wanted
    }

    fn has_children(&self, node: usize) -> bool {
        self.children.get(node).is_some_and(|children| !children.is_empty())
    }

    fn child(&self, node: usize, step: &Step) -> Option<usize> {
        self.children.get(node)?.get(step).copied()
    }

    fn found(&mut self, node: usize, span: Range<usize>) {
        for number in self.ends.get(node).into_iter().flatten() {
            if let Some(slot) = self.spans.get_mut(*number) {
                *slot = Some(span.clone());
            }
        }
    }

    /// A repeated key: what was found below the first one does not count.
    fn forget(&mut self, node: usize) {
        let mut below = vec![node];
        while let Some(node) = below.pop() {
            for number in self.ends.get(node).into_iter().flatten() {
                if let Some(slot) = self.spans.get_mut(*number) {
                    *slot = None;
                }
            }
            below.extend(self.children.get(node).into_iter().flat_map(HashMap::values));
        }
    }
}
