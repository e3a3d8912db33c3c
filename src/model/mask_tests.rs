//! What is masked, what is not, and that files stay files.

use super::*;
use proptest::prelude::*;

const SECRETS: [&str; 3] = ["hunter2", "dXNlcjpodW50ZXIy", "c2VjcmV0"];

#[track_caller]
fn clean(text: &str) -> String {
    let masked = mask_text(text);
    for secret in SECRETS {
        assert!(!masked.contains(secret), "{secret} shows:\n{masked}");
    }
    assert_eq!(masked, mask_text(&masked), "masking twice is masking once");
    assert_eq!(masked.lines().count(), text.lines().count(), "{masked}");
    masked
}

#[test]
fn json_stays_json() {
    let text = r#"{"auths":{"r.example":{"auth":"dXNlcjpodW50ZXIy","email":"a@b"}},"password": "hunter2", "n": 1,
        "proxies": {"http-proxy": "http://bob:hunter2@proxy:3128/"}, "log-opts": {"splunk-token": "hunter2", "max": "1"},
        "escaped": "x", "token": "a\"hunter2\\"}"#;
    let masked: serde_json::Value = serde_json::from_str(&clean(text)).unwrap();
    assert_eq!(masked["n"], 1);
    assert_eq!(masked["auths"]["r.example"]["email"], "a@b");
    assert_eq!(masked["log-opts"]["max"], "1");
    assert!(masked["proxies"]["http-proxy"].as_str().unwrap().ends_with("@proxy:3128/"));
    assert!(masked["token"].as_str().unwrap().starts_with("<redacted:"));
}

#[test]
fn toml_stays_toml() {
    let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r\".auth]\n  username = \"bob\"\n  \
                password = 'hunter2' # hunter is out\n  auth = \"\"\"dXNlcjpodW50ZXIy\"\"\"\n  identitytoken = \"hunter2\"\n\
                [plugins.x.configs]\n\"q\" = { auth = { password = \"hunter2\", username = \"u\" } }\n";
    let masked = clean(text);
    assert!(masked.contains("username = \"bob\"") && masked.contains("# hunter is out"), "{masked}");
    toml::from_str::<toml::Table>(&masked).unwrap();
    let headers = "[plugins.\"io.containerd.grpc.v1.cri\".registry.headers]\n  X-Any = [\"hunter2\"]\n";
    assert!(clean(headers).contains("X-Any = [\"<redacted:"));
    let hosts = "server = \"https://r\"\n[host.\"https://l\"]\n  header = { X-Any = \"hunter2\" }\n[host.\"https://m\".header]\n\
                 X-Own = [\"Basic dXNlcjpodW50ZXIy\",\n  \"hunter2\"]\n[host.\"https://n\"]\n  ca = \"/etc/n.crt\"\n";
    let masked = clean(hosts);
    assert!(masked.contains("ca = \"/etc/n.crt\"") && masked.contains("server = \"https://r\""), "{masked}");
    toml::from_str::<toml::Table>(&masked).unwrap();
}

#[test]
fn yaml_units_and_environments_keep_their_other_words() {
    let yaml =
        "users:\n- name: me\n  user:\n    token: hunter2\n    client-key-data: dXNlcjpodW50ZXIy\n  password: |\n";
    assert!(clean(yaml).contains("- name: me"));
    let unit = "[Service]\nEnvironment=\"HTTP_PROXY=http://bob:hunter2@proxy:3128\" NO_PROXY=localhost\n\
                Environment=MY_PASSWORD=hunter2 OTHER=1\nExecStart=/usr/bin/x --token=hunter2 --port=1 --token hunter2 --v=2\n\
                Environment='AUTH=Bearer hunter2'\n";
    let masked = clean(unit);
    for kept in ["NO_PROXY=localhost", "OTHER=1", "--port=1", "--v=2", "@proxy:3128"] {
        assert!(masked.contains(kept), "{kept} is gone:\n{masked}");
    }
}

#[test]
fn a_value_ends_where_its_quote_does() {
    for (text, kept) in [
        ("Environment=\"HTTP_PROXY=http://bob:a,hunter2@proxy\" B=1\n", "@proxy\" B=1"),
        ("Environment=\"HTTP_PROXY=http://bob:a'hunter2@proxy\" B=1\n", "@proxy\" B=1"),
        ("Environment=\"HTTP_PROXY=bob:a,hunter2@proxy\" B=1\n", "@proxy\" B=1"),
        ("Environment=\"REGISTRY_PASSWORD=my hunter2\" B=1\n", "\"REGISTRY_PASSWORD=<redacted:"),
        ("Environment='REGISTRY_PASSWORD=pa,hunter2}x' B=1\n", "' B=1"),
        ("Environment=\"REGISTRY_PASSWORD={hunter2\" B=1\n", "\" B=1"),
        ("Environment=\"REGISTRY_PASSWORD=[hunter2\" B=1\n", "\" B=1"),
        ("ARGS=\"--token=a,hunter2 --v=2\"\n", " --v=2\""),
        ("ARGS=\"--token hunter2 --v=2\"\n", " --v=2\""),
        ("ExecStart=/bin/sh -c 'A_TOKEN=hunter2 docker login'\n", " docker login'"),
        ("[\"--password=a,hunter2\",\"--v=2\"]", "\",\"--v=2\"]"),
        ("server = http://bob:a,hunter2@proxy/\n", "@proxy/"),
        ("configs.\"r\".auth.password = \"hunter2\"\n", "\"r\".auth.password = \"<redacted:"),
        ("Environment=\"A_TOKEN=\" \"B_TOKEN=hunter2\" C=1\n", "\"A_TOKEN=\" \"B_TOKEN=<redacted:"),
    ] {
        let masked = clean(text);
        assert!(masked.contains(kept), "{masked}");
    }
    for value in ["http://bob:a,hunter2@proxy", "bob:a,hunter2@proxy"] {
        let masked = mask_value("HTTP_PROXY", value);
        assert!(holds_secret("HTTP_PROXY", value) && masked.ends_with("@proxy"), "{masked}");
        let unit = |value: &str| format!("Environment=\"HTTP_PROXY={value}\"\n");
        assert_eq!(clean(&unit(value)), unit(&masked));
    }
}

#[test]
fn keys_and_tokens_without_a_name_are_masked_too() {
    let key =
        "a: b\n  -----BEGIN RSA PRIVATE KEY-----\n  c2VjcmV0\n  c2VjcmV0\n  -----END RSA PRIVATE KEY-----\nc: d\n";
    let masked = mask_text(key);
    assert!(!masked.contains("c2VjcmV0") && masked.starts_with("a: b\n") && masked.ends_with("c: d\n"), "{masked}");
    assert_eq!((masked.lines().count(), mask_text(&masked)), (key.lines().count(), masked.clone()));
    assert!(!mask_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n").contains("c2VjcmV0"));
    let block = "token: |\n  hunter2\n  hunter2\nnext: 1\n";
    let masked = mask_text(block);
    assert!(!masked.contains("hunter2") && masked.ends_with("\nnext: 1\n"), "{masked}");
    assert_eq!((masked.lines().count(), mask_text(&masked)), (block.lines().count(), masked.clone()));
    for text in ["x: eyJhbGciOi.eyJpc3MiOi.c2VjcmV0", "h: Basic c2VjcmV0", "d: LS0tLS1CRUdJTiBDRVJUSc2VjcmV0"] {
        assert!(!mask_text(text).contains("c2VjcmV0"), "{text}");
    }
}

#[test]
fn what_a_file_and_a_value_hold_gets_the_same_mask() {
    for (key, value) in
        [("splunk-token", "hunter2"), ("http-proxy", "bob:hunter2@proxy"), ("HTTPS_PROXY", "http://a:hunter2@p")]
    {
        let masked = mask_value(key, value);
        assert!(!masked.contains("hunter2") && holds_secret(key, value) && holds_secret(key, &masked), "{masked}");
        assert_eq!(masked, mask_value(key, &masked));
        assert_eq!(clean(&format!("\"{key}\": \"{value}\",\n")), format!("\"{key}\": \"{masked}\",\n"));
    }
    assert!(!holds_secret("http-proxy", "http://proxy:3128") && !holds_secret("token", ""));
    assert_ne!(mask_value("token", "a"), mask_value("token", "b"));
}

#[test]
fn what_is_no_secret_stays_to_the_letter() {
    for text in [
        "authorization-plugins = []\n",
        "[plugins.cri.registry.auths]\n",
        "authentication:\n  webhook:\n    enabled: true\n",
        "  \"auths\": {\n",
        "endpoint = [\"https://mirror.example/v2\"]\n",
        "automountServiceAccountToken: false\n",
        "unix:///run/containerd/containerd.sock",
        "--authentication-token-webhook=true --client-ca-file=/etc/ca.crt",
        "Basic settings for everybody are here\n",
        "/etc/cron.d/ecr-token: docker login; /etc/cron.d/gc: docker image prune",
        "default/ldap-auth: docker.sock",
        "corp/user-auth:1.4 is not in Docker's store",
        "server = \"http://registry-auth:5000\"\n",
        "[\"registry-auth:5000\", \"harbor.secret:8443\"]",
        "Environment=\"NO_PROXY=localhost,10.0.0.0/8,.example\"\n",
        "mirrors: https://a.example:5000,https://b.example; corp/app@sha256:0123 and http://c.example, corp/b@sha256:4567\n",
        "auth = {\n",
        "password:\n  nested: 1\n",
        "",
    ] {
        assert_eq!(mask_text(text), text);
    }
}

proptest! {
    #[test]
    fn any_text_is_masked_without_panic(text in "[a-z\"'\\\\:=\\[\\]{}|>\\- \n@/é<>,#]{0,80}") {
        let _ = mask_text(&text);
    }

    #[test]
    fn a_password_in_any_of_these_places_is_masked(
        secret in "[A-Za-z0-9][A-Za-z0-9!$%&*+._~-]{7,20}",
        place in prop::sample::select(vec![
            "password = \"@\"", "{\"password\":\"@\"}", "password: @", "Environment=A_TOKEN=@ B=1", "--token @ -v",
            "x=https://u:@@host/", "auth = '@'", "'Authorization: Bearer @'",
        ]),
    ) {
        let text = place.replacen('@', &secret, 1);
        prop_assert!(!mask_text(&text).contains(&secret), "{}", mask_text(&text));
    }

    #[test]
    fn nothing_of_a_password_in_quotes_shows(
        parts in prop::collection::vec("[A-Za-z0-9]{6,8}", 2..4),
        between in prop::sample::select(vec![",", "}", "]", " ", ";", "=", ":", "@", "#"]),
        place in prop::sample::select(vec![
            "password = \"@\"", "{\"password\":\"@\"}", "Environment=\"A_PASSWORD=@\" B=1",
            "Environment=\"HTTP_PROXY=http://u:@@host/\"", "Environment='HTTPS_PROXY=u:@@host'",
        ]),
    ) {
        let masked = mask_text(&place.replacen('@', &parts.join(between), 1));
        prop_assert!(!parts.iter().any(|part| masked.contains(part.as_str())), "{masked}");
    }
}
