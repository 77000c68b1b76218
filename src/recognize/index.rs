//! From a path to the rules that may speak about it, without allocating: a tree of segments per network.
//!
//! Nothing to keep is the common case, so the whole walk is a handful of hash look-ups on borrowed text.

use std::collections::HashMap;

use super::path::{PathPattern, Segment, decode, split_segment, trimmed};

/// A rule's position in its network's file.
pub(crate) type RuleNumber = u32;

#[derive(Debug, Default)]
struct Node {
    fixed: HashMap<Box<str>, u32>,
    capture: Option<u32>,
    here: Vec<RuleNumber>,
    rest: Vec<RuleNumber>,
}

/// All path patterns of one network.
#[derive(Debug)]
pub(crate) struct PathTree {
    nodes: Vec<Node>,
}

impl Default for PathTree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl PathTree {
    /// Adds a rule under a pattern. Rules under one pattern keep the order in which they are added.
    pub(crate) fn insert(&mut self, pattern: &PathPattern, rule: RuleNumber) {
        let mut at = 0_u32;
        for segment in &pattern.segments {
            let fresh = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let Some(node) = self.nodes.get_mut(at as usize) else { return };
            at = match segment {
                Segment::Fixed(name) => *node.fixed.entry(name.clone()).or_insert(fresh),
                Segment::Capture(_) => *node.capture.get_or_insert(fresh),
                Segment::Rest(_) => {
                    node.rest.push(rule);
                    return;
                }
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.here.push(rule);
        }
    }

    /// Visits the rules whose pattern matches, the most specific pattern first, until `visit` answers.
    pub(crate) fn find<T>(&self, path: &str, visit: &mut impl FnMut(RuleNumber) -> Option<T>) -> Option<T> {
        self.descend(0, Some(trimmed(path)).filter(|path| !path.is_empty()), visit)
    }

    // Depth is bounded by the deepest pattern (16): below it there are no children to go to.
    fn descend<T>(&self, at: u32, rest: Option<&str>, visit: &mut impl FnMut(RuleNumber) -> Option<T>) -> Option<T> {
        let node = self.nodes.get(at as usize)?;
        let Some(path) = rest else { return node.here.iter().find_map(|rule| visit(*rule)) };
        let (head, tail) = split_segment(path);
        let child = if head.contains('%') { node.fixed.get(&*decode(head)) } else { node.fixed.get(head) };
        child
            .and_then(|child| self.descend(*child, tail, visit))
            .or_else(|| node.capture.and_then(|child| self.descend(child, tail, visit)))
            .or_else(|| node.rest.iter().find_map(|rule| visit(*rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(tree: &PathTree, path: &str) -> Vec<RuleNumber> {
        let mut found = Vec::new();
        assert_eq!(
            tree.find(path, &mut |rule| {
                found.push(rule);
                None::<()>
            }),
            None
        );
        found
    }

    #[test]
    fn the_most_specific_pattern_speaks_first() {
        let mut tree = PathTree::default();
        for (number, pattern) in ["/{rest...}", "/a/{x}", "/a/b", "/a/b", "/", "/a/{x}/c"].iter().enumerate() {
            tree.insert(&pattern.parse().unwrap(), u32::try_from(number).unwrap());
        }
        assert_eq!(all(&tree, "/a/b"), [2, 3, 1, 0]);
        assert_eq!(all(&tree, "/a/b/"), [2, 3, 1, 0], "a trailing slash changes nothing");
        assert_eq!(all(&tree, "/a/%62"), [2, 3, 1, 0], "an escaped letter is that letter");
        assert_eq!(all(&tree, "/a/z"), [1, 0]);
        assert_eq!(all(&tree, "/a/b/c"), [5, 0]);
        assert_eq!(all(&tree, "/q"), [0]);
        assert_eq!(all(&tree, "/"), [4]);
    }
}
