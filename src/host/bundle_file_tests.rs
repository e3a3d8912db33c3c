//! Archives of ours, and of people who mean no good.

use super::*;
use proptest::prelude::*;

fn content() -> BundleContent {
    let texts = [("/etc/docker/daemon.json", "{}\n"), ("/etc/containerd/../x%/a", "é"), ("/a//b/./c", "")];
    let long = format!("/etc/{}", "x".repeat(180));
    let mut texts: BTreeMap<String, String> = texts.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
    texts.insert(long, "long".repeat(10_000));
    BundleContent { document: "{\"kind\": \"Bundle\"}\n".to_owned(), texts }
}

fn raw(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Set by hand: the library refuses such names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;

#[test]
fn what_is_packed_comes_out_again() {
    for name in ["/x.tar.zst", "/x.tar.gz", "/x.tgz", "/x.tar"] {
        assert_eq!(unpack(&pack(name, &content()).unwrap()).unwrap(), content(), "{name}");
    }
    let error = pack("/x.zip", &content()).unwrap_err().to_string();
    assert!(error.contains(".tar.zst"), "{error}");
}

#[test]
fn a_file_is_private_and_never_replaced_by_accident() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.tar.zst");
    std::fs::write(&path, "mine").unwrap();
    let error = write(&path, &content(), false).unwrap_err().to_string();
    assert!(error.contains("there already"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    write(&path, &content(), true).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(read(&path).unwrap(), content());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(is_bundle(&path) && !is_bundle(dir.path()) && !is_bundle(&dir.path().join("none")));
}

#[test]
fn an_unpacked_bundle_is_one_too_and_its_links_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("files/etc/docker")).unwrap();
    std::fs::write(at(DOCUMENT), "{}").unwrap();
    std::fs::write(at("files/etc/docker/daemon.json"), "{ }").unwrap();
    assert!(is_bundle(dir.path()));
    assert_eq!(read(dir.path()).unwrap().texts.get("/etc/docker/daemon.json").map(String::as_str), Some("{ }"));
    std::os::unix::fs::symlink("/etc/passwd", at("files/etc/link")).unwrap();
    assert!(format!("{:#}", read(dir.path()).unwrap_err()).contains("link"));
}

#[test]
fn hostile_archives_are_refused() {
    let document: (&str, tar::EntryType, &[u8]) = (DOCUMENT, FILE, b"{}");
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "no castoff-bundle.json"),
        ("text", vec![b'x'; 2000], "broken"),
        ("no document", raw(&[("files/a", FILE, b"")]), "no castoff-bundle.json"),
        ("escape", raw(&[document, ("files/../../etc/passwd", FILE, b"x")]), "no plain path"),
        ("absolute", raw(&[document, ("/etc/passwd", FILE, b"x")]), "no place"),
        ("elsewhere", raw(&[document, ("other/a", FILE, b"x")]), "no place"),
        ("link", raw(&[document, ("files/a", tar::EntryType::Symlink, b"")]), "no plain file"),
        ("device", raw(&[document, ("files/a", tar::EntryType::Char, b"")]), "no plain file"),
        ("twice", raw(&[document, ("files/a", FILE, b"1"), ("files/a", FILE, b"2")]), "twice"),
    ];
    for (name, bytes, wanted) in cases {
        let error = format!("{:#}", unpack(&bytes).unwrap_err());
        assert!(error.contains(wanted), "{name}: {error}");
    }
    let binary = raw(&[document, ("files/a", FILE, &[0xff, 0xfe])]);
    assert!(format!("{:#}", unpack(&binary).unwrap_err()).contains("UTF-8"));
}

#[test]
fn bombs_are_not_unpacked() {
    let large = vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1];
    let plain = raw(&[(DOCUMENT, FILE, &large)]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&plain).unwrap();
    let gz = encoder.finish().unwrap();
    assert!(gz.len() < 100_000);
    for bytes in [gz, compress_to_vec(plain.as_slice(), CompressionLevel::Fastest)] {
        let error = unpack(&bytes).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("larger than"), "{error}");
    }
    // A header that promises more than there is.
    let mut cut = raw(&[(DOCUMENT, FILE, b"{}"), ("files/a", FILE, &[b'x'; 600])]);
    cut.truncate(1536 + 300);
    assert!(unpack(&cut).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn broken_archives_are_errors_and_no_panics(
        kind in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut small = content();
        small.texts.retain(|path, _| path.len() < 60);
        let mut bytes = pack(["/x.tar.zst", "/x.tar.gz", "/x.tar"][kind], &small).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() * 2).min(bytes.len()));
        let _ = unpack(&bytes);
    }

    #[test]
    fn every_path_comes_back(path in "(/[a-z.% é]{0,6}){1,5}") {
        prop_assert_eq!(path_of(&name_in(&path)).unwrap(), format!("/{}", path.trim_start_matches('/')));
    }
}
