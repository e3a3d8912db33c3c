//! Values of flags in the shape that `daemon.json` has for them.

use super::Shape;
use serde_json::{Map, Value, json};

/// Shapes of which a later flag replaces an earlier one.
pub const NOT_REPEATED: [Shape; 3] = [Shape::Switch, Shape::Text, Shape::Number];

/// What a flag's values (all occurrences, in order) amount to. What cannot be read stays the text it is.
pub fn merged(shape: Shape, values: &[String]) -> Value {
    let last = || values.last().cloned().unwrap_or_default();
    match shape {
        Shape::Switch => switch(&last()).map_or_else(|| Value::from(last()), Value::from),
        Shape::Text => Value::from(last()),
        Shape::Number => last().parse::<i64>().map_or_else(|_| Value::from(last()), Value::from),
        Shape::List => values.iter().map(|value| Value::from(value.as_str())).collect(),
        Shape::Pairs => object(values, |text| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), Value::from(value))
        }),
        Shape::Features => object(values, |text| {
            let (name, value) = text.split_once('=').unwrap_or((text, "true"));
            (name.to_owned(), switch(value).map_or_else(|| Value::from(value), Value::from))
        }),
        Shape::Runtimes => object(values, |text| {
            let (name, path) = text.split_once('=').unwrap_or((text, ""));
            (name.trim().to_ascii_lowercase(), json!({"path": path.trim()}))
        }),
        Shape::Ulimits => object(values, ulimit),
        Shape::Pools => values.iter().map(|text| fields(text)).collect(),
        Shape::Fields => {
            let all = values.iter().filter_map(|text| fields(text).as_object().cloned()).flatten();
            Value::Object(all.collect())
        }
        Shape::NetworkOpts => network_opts(values),
    }
}

/// The options of `exec-opts` and such lists: names in lower case, as dockerd compares them.
pub fn exec_opts(value: &Value) -> Vec<(String, String)> {
    let items: Vec<&str> = match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let pairs = items.into_iter().filter_map(|item| item.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// Go's `ParseBool`.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn object(values: &[String], pair: impl Fn(&str) -> (String, Value)) -> Value {
    Value::Object(values.iter().map(|text| pair(text)).collect::<Map<_, _>>())
}

/// `nofile=1024:2048`; without a second number the first counts for both.
fn ulimit(text: &str) -> (String, Value) {
    let (name, limits) = text.split_once('=').unwrap_or((text, ""));
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
    (name.to_owned(), json!({"Name": name, "Hard": number(hard), "Soft": number(soft)}))
}

/// `base=10.0.0.0/8,size=24`
fn fields(text: &str) -> Value {
    let pairs = text.split(',').filter_map(|field| field.split_once('='));
    let value = |text: &str| {
        let number = text.parse::<i64>().ok().map(Value::from);
        number.or_else(|| switch(text).map(Value::from)).unwrap_or_else(|| Value::from(text))
    };
    Value::Object(pairs.map(|(name, text)| (name.trim().to_owned(), value(text.trim()))).collect())
}

/// `bridge=com.docker.network.driver.mtu=1400`
fn network_opts(values: &[String]) -> Value {
    let mut drivers = Map::new();
    for (driver, option) in values.iter().filter_map(|text| text.split_once('=')) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let entry = drivers.entry(driver.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(options) = entry {
            options.insert(name.to_owned(), Value::from(value));
        }
    }
    Value::Object(drivers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_take_the_shape_of_the_file() {
        for (shape, values, expected) in [
            (Shape::Switch, &["false", "true"][..], json!(true)),
            (Shape::Switch, &["maybe"], json!("maybe")),
            (Shape::Number, &["5", "7"], json!(7)),
            (Shape::Text, &["a", "b"], json!("b")),
            (Shape::List, &["a", "b"], json!(["a", "b"])),
            (Shape::Pairs, &["max-size=10m", "max-file=3", "max-size=1m"], json!({"max-size": "1m", "max-file": "3"})),
            (Shape::Ulimits, &["nofile=1024:2048"], json!({"nofile": {"Name": "nofile", "Hard": 2048, "Soft": 1024}})),
            (Shape::Ulimits, &["nproc=9"], json!({"nproc": {"Name": "nproc", "Hard": 9, "Soft": 9}})),
            (Shape::Runtimes, &["nvidia=/usr/bin/n"], json!({"nvidia": {"path": "/usr/bin/n"}})),
            (Shape::Pools, &["base=10.1.0.0/16,size=24"], json!([{"base": "10.1.0.0/16", "size": 24}])),
            (
                Shape::Features,
                &["containerd-snapshotter", "cdi=false"],
                json!({"containerd-snapshotter": true, "cdi": false}),
            ),
            (Shape::NetworkOpts, &["bridge=mtu=1400", "bridge=x=y"], json!({"bridge": {"mtu": "1400", "x": "y"}})),
            (Shape::Fields, &["enable=true,socket-path=/s"], json!({"enable": true, "socket-path": "/s"})),
        ] {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            assert_eq!(merged(shape, &values), expected);
        }
        assert_eq!(
            exec_opts(&json!(["Native.CgroupDriver = systemd"])),
            [("native.cgroupdriver".to_owned(), "systemd".to_owned())]
        );
    }
}
