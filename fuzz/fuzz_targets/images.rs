//! What Docker keeps of images: names, configurations, manifests, and how a layer's archive was.
#![no_main]

use castoff_fuzz::{
    formats::{docker_images, image_manifest::Document, tar_split},
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let _ = docker_images::names(&text);
    if let Ok(config) = docker_images::ImageConfig::parse(&text) {
        let chain = config.chain_ids();
        assert_eq!(chain.len(), config.diff_ids.len());
        assert!(chain.iter().all(|id| docker_images::is_digest(id)));
    }
    if let Ok(document) = Document::parse(&text) {
        assert!(document.children().all(|child| docker_images::is_digest(&child.digest)));
    }
    for line in text.lines() {
        // What is cheap to ask and what is read must be the same.
        if let Ok(piece) = tar_split::piece(line) {
            let bytes = match piece {
                tar_split::Piece::Bytes(bytes) => bytes.len() as u64,
                tar_split::Piece::Content { size, .. } => size,
            };
            assert_eq!(tar_split::length(line), Ok(bytes));
        }
    }
});
