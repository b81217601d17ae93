use release_order::{latest, sort, Channel, ParseError, Version};

fn version(tag: &str) -> Version {
    tag.parse().unwrap()
}

#[test]
fn a_tag_comes_back_as_it_was_without_its_v() {
    for tag in [
        "v1.0.0",
        "v0.12.3-beta",
        "v2.0.0-rc.1+build.005",
        "v1.0.0-x-y-z.7",
    ] {
        assert_eq!(format!("v{}", version(tag)), tag);
    }
}

#[test]
fn what_is_no_version_is_refused_with_the_reason() {
    let why = |tag: &str| tag.parse::<Version>().unwrap_err();
    assert_eq!(why("1.2"), ParseError::NotThreeNumbers);
    assert_eq!(why("1.2.3.4"), ParseError::NotThreeNumbers);
    assert_eq!(why("1.02.3"), ParseError::Number("02".into()));
    assert_eq!(why("nightly"), ParseError::Number("nightly".into()));
    assert_eq!(why("1.2.3-rc.01"), ParseError::Identifier("01".into()));
    assert_eq!(why("1.2.3-rc..1"), ParseError::Identifier("".into()));
    assert_eq!(why("1.2.3+a_b"), ParseError::Identifier("a_b".into()));
}

#[test]
fn numbers_are_compared_as_numbers() {
    assert!(version("2.10.0") > version("2.9.0"));
    assert!(version("10.0.0") > version("9.99.99"));
}

#[test]
fn a_release_comes_after_its_candidates() {
    let order: Vec<String> = sort(["1.0.0", "1.0.0-rc.1", "1.0.0-alpha", "0.9.9"])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(order, ["0.9.9", "1.0.0-alpha", "1.0.0-rc.1", "1.0.0"]);
}

#[test]
fn build_metadata_does_not_count() {
    assert_eq!(version("1.0.0+linux"), version("1.0.0+windows"));
}

#[test]
fn the_stable_channel_passes_over_candidates() {
    let tags = ["v1.3.0", "v1.4.0-beta.2", "nightly", "v1.2.9"];
    assert_eq!(latest(tags, Channel::Stable).unwrap().to_string(), "1.3.0");
    assert_eq!(
        latest(tags, Channel::Preview).unwrap().to_string(),
        "1.4.0-beta.2"
    );
    assert!(latest(["nightly"], Channel::Preview).is_none());
}
