//! Which identities a client finds, and in which order.

use super::write;
use unglue_identity::{Identity, IdentityError, IdentitySearch, make_key_file};

#[test]
fn the_default_files_are_found_in_order() {
    let home = tempfile::tempdir().expect("a home");
    let search = IdentitySearch { home: Some(home.path().to_owned()), ..IdentitySearch::default() };
    let paths = [home.path().join(".ssh/id_ed25519"), home.path().join(".config/unglue/id_ed25519")];
    let keys: Vec<_> = paths.iter().rev().map(|path| make_key_file(path, "", None).expect("made")).collect();
    let found = search.find().expect("found");
    let found: Vec<_> = found.iter().map(Identity::public_key).collect();
    assert_eq!(found, [keys[1].public_key(), keys[0].public_key()]);
}

#[test]
fn a_named_file_is_used_alone_and_its_failure_is_told() {
    let home = tempfile::tempdir().expect("a home");
    make_key_file(&home.path().join(".ssh/id_ed25519"), "", None).expect("made");
    let named = home.path().join("named");
    let key = make_key_file(&named, "", None).expect("made");
    let search = |file| IdentitySearch { file: Some(file), home: Some(home.path().to_owned()), ..Default::default() };
    let found = search(named).find().expect("found");
    assert_eq!(found.iter().map(Identity::public_key).collect::<Vec<_>>(), [key.public_key()]);
    assert!(!found[0].may_ask());
    let error = search(home.path().join("absent")).find().expect_err("no such file").to_string();
    assert!(error.contains("absent"), "{error}");
}

#[test]
fn an_unusable_default_is_passed_over_and_named_if_nothing_else_is_there() {
    let home = tempfile::tempdir().expect("a home");
    let search = IdentitySearch { home: Some(home.path().to_owned()), ..IdentitySearch::default() };
    match search.find() {
        Err(error @ IdentityError::NoIdentity { .. }) => {
            let text = error.to_string();
            for part in ["SSH_AUTH_SOCK", ".ssh/id_ed25519", ".config/unglue/id_ed25519", "unglue key init"] {
                assert!(text.contains(part), "{text}");
            }
        }
        other => panic!("{other:?}"),
    }
    std::fs::create_dir(home.path().join(".ssh")).expect("made");
    write(&home.path().join(".ssh/id_ed25519"), "nonsense", 0o600);
    let text = search.find().expect_err("nothing usable").to_string();
    assert!(text.contains("it is not a key"), "{text}");
    make_key_file(&home.path().join(".config/unglue/id_ed25519"), "", None).expect("made");
    assert_eq!(search.find().expect("the other one").len(), 1);
}

#[test]
fn keys_of_other_kinds_are_named_if_there_is_no_other() {
    let home = tempfile::tempdir().expect("a home");
    let search = IdentitySearch { home: Some(home.path().to_owned()), ..IdentitySearch::default() };
    std::fs::create_dir(home.path().join(".ssh")).expect("made");
    let dsa = home.path().join(".ssh/id_rsa");
    write(&dsa, "-----BEGIN DSA PRIVATE KEY-----\n-----END DSA PRIVATE KEY-----\n", 0o600);
    let text = search.find().expect_err("DSA alone").to_string();
    let expected = format!("Not handled: the DSA key {}. Make one with `unglue key init`", dsa.display());
    assert!(text.contains(&expected), "{text}");
}
