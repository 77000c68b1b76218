//! Tiles as C2SP `tlog-tiles` gives them.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::ledger::{
    Frontier, HashReader, Node, Proof, Tile, TileError, TilePath, TileSet, bundle_bytes, leaf_hash, parse_bundle,
    tile_bytes,
};
use crate::record::Digest;

#[test]
fn the_examples_of_the_specification_hold() {
    let path = |index, width| TilePath::Hashes(Tile { level: 0, index, width }).to_string();
    assert_eq!(path(1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(0, 256), "tile/0/000");
    assert_eq!(path(999, 1), "tile/0/999.p/1");
    assert_eq!(path(1000, 256), "tile/0/x001/000");
    assert_eq!(TilePath::Entries { index: 5, width: 7 }.to_string(), "tile/entries/005.p/7");

    let of_70_000: Vec<_> = Tile::between(0, 70_000).collect();
    let at = |level| of_70_000.iter().filter(move |tile| tile.level == level);
    assert_eq!((at(0).filter(|t| t.is_full()).count(), at(0).filter(|t| !t.is_full()).count()), (273, 1));
    assert_eq!(at(0).next_back().unwrap().width, 112);
    assert_eq!(at(1).map(|tile| tile.width).collect::<Vec<_>>(), [256, 17]);
    assert_eq!(at(2).map(|tile| tile.width).collect::<Vec<_>>(), [1]);
    assert_eq!(of_70_000.len(), 273 + 1 + 2 + 1);

    let of_256: Vec<_> = Tile::between(0, 256).map(|tile| tile.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn only_what_grew_is_between_two_sizes() {
    let between = |a, b| Tile::between(a, b).map(|tile| tile.to_string()).collect::<Vec<_>>();
    assert_eq!(between(255, 256), ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(between(256, 258), ["tile/0/001.p/2"]);
    assert_eq!(between(700, 700), [""; 0]);
    assert_eq!(Tile::at(0, 1, 256), None);
    assert_eq!(Tile::at(63, 0, u64::MAX), None);
}

#[test]
fn a_path_has_one_spelling() {
    for good in ["tile/0/000", "tile/63/x999/000.p/255", "tile/entries/x001/x234/067", "tile/entries/000.p/1"] {
        assert_eq!(good.parse::<TilePath>().unwrap().to_string(), good);
    }
    for bad in [
        "tile/0/0",
        "tile/64/000",
        "tile/00/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/xx01/000",
        "tile/-1/000",
        "tile/0/",
        "tile/0",
        "tile/entries",
        "tile/0/+00",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "x/0/000",
        "",
    ] {
        assert_eq!(bad.parse::<TilePath>(), Err(TileError::Path), "{bad}");
    }
}

/// What a publisher does: stores hashes of levels 0, 8, 16… as tiles, nothing else.
#[test]
fn every_subtree_is_read_from_tiles_alone() {
    const SIZE: u64 = 66_000;
    let mut stored: HashMap<Node, Digest> = HashMap::new();
    let mut frontier = Frontier::new();
    for n in 0..SIZE {
        frontier.push_with(leaf_hash(&n.to_be_bytes()), |node, hash| {
            stored.insert(node, hash);
        });
    }
    let mut tiles = TileSet::new();
    for tile in Tile::between(0, SIZE) {
        let node = |n: u16| Node { level: tile.level * 8, index: tile.index * 256 + u64::from(n) };
        let hashes: Vec<_> = (0..tile.width).map(|n| stored[&node(n)]).collect();
        tiles.insert(tile, tile.parse(&tile_bytes(&hashes)).unwrap());
        assert_eq!(tile.parse(&[0; 31]), Err(TileError::Size(tile)));
    }
    for (node, hash) in &stored {
        assert!(Tile::of(*node, SIZE).is_some());
        assert_eq!(tiles.hash(*node).as_ref(), Ok(hash), "{node:?}");
    }
    assert_eq!(Proof::root(SIZE).hashes(&tiles).unwrap(), [frontier.root()]);
    assert!(tiles.hash(Node { level: 0, index: SIZE }).is_err());
    assert!(tiles.hash(Node { level: 255, index: u64::MAX }).is_err());
}

#[test]
fn a_bundle_gives_back_its_entries() {
    let entries = [b"one".to_vec(), vec![], vec![7; 65_535]];
    let bytes = bundle_bytes(&entries).unwrap();
    assert_eq!(&bytes[..7], b"\x00\x03one\x00\x00");
    assert_eq!(parse_bundle(&bytes, 3).unwrap(), entries);
    assert_eq!(parse_bundle(&bytes, 2), Err(TileError::Bundle));
    assert_eq!(parse_bundle(&bytes[..bytes.len() - 1], 3), Err(TileError::Bundle));
    assert_eq!(bundle_bytes(&[vec![0; 65_536]]), Err(TileError::TooLong(65_536)));
}

proptest! {
    #[test]
    fn readers_of_tiles_never_panic(text in ".{0,80}", bytes: Vec<u8>, width: u16, node: (u8, u64), size: u64) {
        let _path = text.parse::<TilePath>();
        let _path = format!("tile/{text}").parse::<TilePath>();
        let _entries = parse_bundle(&bytes, width);
        let _tile = Tile::of(Node { level: node.0, index: node.1 }, size);
        let _few = Tile::between(size.saturating_sub(300), size).count();
    }
}
