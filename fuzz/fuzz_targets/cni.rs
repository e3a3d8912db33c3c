//! libcni's cached results. The configuration inside is in base64, which no mutation gets through: so the input also
//! stands in as that configuration.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use castoff_fuzz::{formats::cni::CachedResult, place, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let inside = format!(
        r#"{{"kind":"cniCacheV1","containerId":"c","ifName":"eth0","networkName":"n","config":"{}",
        "capabilityArgs":{{"portMappings":[]}},"cniArgs":[["A","b"]],"result":{{"cniVersion":"0.4.0"}}}}"#,
        STANDARD.encode(data)
    );
    match CachedResult::parse(&inside) {
        Ok(result) => {
            assert_eq!((result.container.as_str(), result.arguments.as_str()), ("c", "A=b"));
            assert!(result.del.iter().all(|call| call.input["name"] == "n" && call.input["type"] == *call.plugin));
        }
        Err(error) => place(&error, &inside),
    }
    if let Err(error) = CachedResult::parse(&text) {
        place(&error, &text);
    }
});
