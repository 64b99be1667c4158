//! `unrolled import`: checkpoints from files of other programs.

use super::*;
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorView, serialize},
};
use std::collections::{BTreeMap, HashMap};

/// A safetensors file as Python sees it: `load_file`, changes, `save_file`.
#[derive(Clone)]
struct Foreign {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    metadata: Option<HashMap<String, String>>,
}

impl Foreign {
    fn load(home: &Home, name: &str) -> Self {
        let bytes = fs::read(home.path(name)).expect("a file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let own = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        let tensors = file.tensors().into_iter().map(|(name, view)| (name, own(view))).collect();
        Self { tensors, metadata: header.metadata().clone() }
    }

    fn save(&self, home: &Home, name: &str) {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("as it was"))
        });
        home.write(name, serialize(views, self.metadata.clone()).expect("written"));
    }

    /// Adds to every value of a tensor.
    fn add(&mut self, name: &str, more: f32) {
        let bytes = &mut self.tensors.get_mut(name).expect("a tensor").2;
        for value in bytes.as_chunks_mut().0 {
            *value = (f32::from_le_bytes(*value) + more).to_le_bytes();
        }
    }

    /// Returns only the weights, as a `state_dict` has them.
    fn weights(mut self) -> Self {
        self.tensors.retain(|name, _| !name.starts_with("optimizer.") && !name.starts_with("state."));
        self.metadata = None;
        self
    }
}

/// Returns a paused run and its last checkpoint with a changed bias.
fn changed() -> (Home, Foreign) {
    let home = Home::new();
    home.train("--out here --stop-after 12").success();
    let mut file = Foreign::load(&home, "here/checkpoint.safetensors");
    file.add("head.bias", 0.25);
    (home, file)
}

fn import(home: &Home, arguments: &str) -> Assert {
    home.run(&format!("import {arguments}"))
}

#[test]
fn a_changed_checkpoint_with_metadata_resumes() {
    let (home, file) = changed();
    file.save(&home, "changed.safetensors");
    for command in ["eval", "sample", "inspect"] {
        let message = [
            "changed.safetensors differs from what `unrolled train` wrote",
            "`unrolled import changed.safetensors",
        ];
        refused(home.run(&format!("{command} changed.safetensors")), 1, &message);
    }
    let table = stdout(&import(&home, "changed.safetensors --out new.safetensors").success());
    assert!(table.starts_with("tensor ") && table.contains("F32"), "{table}");
    assert_eq!(table.lines().count(), file.tensors.len() + 1);
    assert!(table.contains("  head.bias, changed\n") && table.matches("changed").count() == 1, "{table}");
    home.run("sample new.safetensors").success();
    home.run("eval new.safetensors text.txt").success();
    // It replaces the checkpoint of the run.
    let exists = "--out here/checkpoint.safetensors exists already; name another file, or add --replace";
    refused(import(&home, "changed.safetensors --out here/checkpoint.safetensors"), 2, &[exists]);
    import(&home, "changed.safetensors --out here/checkpoint.safetensors --replace").success();
    let (new, written) =
        (Foreign::load(&home, "new.safetensors"), Foreign::load(&home, "here/checkpoint.safetensors"));
    assert_eq!((&new.tensors, &file.tensors), (&written.tensors, &new.tensors));
    home.run("train --resume --out here").success();
}

/// An earlier checkpoint is intact, but continuing from it would overwrite the changed one.
#[test]
fn a_resumed_run_does_not_skip_a_changed_checkpoint() {
    let (home, file) = changed();
    assert!(home.path("here/checkpoint-10.safetensors").exists(), "{:?}", file_names(&home.path("here")));
    let last = "here/checkpoint.safetensors";
    file.save(&home, last);
    let before = fs::read(home.path(last)).expect("a file");
    refused(
        home.run("train --resume --out here"),
        1,
        &["here/checkpoint.safetensors differs from what `unrolled train` wrote"],
    );
    assert!(fs::read(home.path(last)).expect("a file") == before);
    import(&home, &format!("{last} --out {last} --replace")).success();
    home.run("train --resume --out here").success();
}

#[test]
fn like_supplies_lost_metadata() {
    let (home, mut file) = changed();
    file.metadata = None;
    file.save(&home, "changed.safetensors");
    refused(
        import(&home, "changed.safetensors --out new.safetensors"),
        1,
        &["no configuration and vocabulary", "--like RUN"],
    );
    let message = stderr(&import(&home, "changed.safetensors --out there --like here").success());
    assert_eq!(message, "wrote there/checkpoint.safetensors\n");
    home.run("train --resume --out there").success();
    // Without the moments, or with those of another step, the run starts at step 0.
    file.clone().weights().save(&home, "weights.safetensors");
    file.add("optimizer.m.head.bias", 0.5);
    file.save(&home, "other.safetensors");
    for (name, dropped) in [("weights", false), ("other", true)] {
        let assert = import(&home, &format!("{name}.safetensors --out {name} --like here")).success();
        let message = stderr(&assert);
        assert!(
            message.contains("starts at step 0: sample, eval and train --init-from take it"),
            "{message}"
        );
        assert_eq!(
            message.contains("the optimizer's state is dropped: its step is unknown"),
            dropped,
            "{message}"
        );
        assert_eq!(stdout(&assert).contains("  dropped"), dropped);
        home.run(&format!("sample {name}")).success();
        home.run(&format!("eval {name}")).success();
        let refused_parts = ["its checkpoint has no optimizer state"];
        refused(home.run(&format!("train --resume --out {name}")), 1, &refused_parts);
        home.train(&format!("--out {name}-more --init-from {name}")).success();
    }
}

#[test]
fn incomplete_optimizer_state_is_dropped_with_a_note() {
    let (home, file) = changed();
    let message = |change: &dyn Fn(&mut Foreign), expected: &str| {
        let mut file = file.clone();
        change(&mut file);
        file.save(&home, "changed.safetensors");
        let assert = import(&home, "changed.safetensors --out new.safetensors --replace").success();
        assert!(stderr(&assert).contains(expected), "{}", stderr(&assert));
        home.run("sample new.safetensors --length 3").success();
    };
    message(
        &|file| _ = file.tensors.remove("optimizer.v.head.bias"),
        "the optimizer's state is dropped: it is incomplete (optimizer.v.head.bias: found nothing",
    );
    message(&|file| file.add("optimizer.v.head.bias", f32::NAN), "optimizer.v.head.bias: found NaN");
    message(
        &|file| file.tensors.retain(|name, _| !name.starts_with("state.")),
        "no carried state: the run cannot be resumed",
    );
    message(
        &|file| file.tensors.get_mut("head.weight").expect("a tensor").2.fill(0),
        "every number of head.weight is zero: was the file overwritten",
    );
    message(
        &|file| _ = file.tensors.remove("state.c_l0"),
        "the carried state is dropped (state.c_l0: found nothing",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_read_once() {
    let (home, file) = changed();
    file.save(&home, "changed.safetensors");
    let bytes = fs::read(home.path("changed.safetensors")).expect("a file");
    home.command("import /dev/stdin --out new.safetensors").write_stdin(bytes).assert().success();
    home.run("sample new.safetensors --length 3").success();
}

#[test]
fn moments_can_be_ignored() {
    let (home, file) = changed();
    file.save(&home, "changed.safetensors");
    let assert =
        import(&home, "changed.safetensors --out new.safetensors --ignore optimizer.* --ignore state.*");
    let table = stdout(&assert.success());
    assert!(table.contains("  ignored\n") && !table.contains("  dropped\n"), "{table}");
    let new = Foreign::load(&home, "new.safetensors");
    assert!(new.tensors.keys().all(|name| !name.starts_with("optimizer.") && !name.starts_with("state.")));
}

/// Asserts that a changed file is refused with `parts` in the message, and that nothing is written.
fn refuses_import(
    (home, file): &(Home, Foreign),
    change: impl Fn(&mut Foreign),
    arguments: &str,
    parts: &[&str],
) {
    let mut file = file.clone();
    change(&mut file);
    file.save(home, "changed.safetensors");
    let assert = import(home, &format!("changed.safetensors --out new.safetensors {arguments}"));
    refused(assert, 1, &[&["cannot import changed.safetensors: "], parts].concat());
    assert!(!home.path("new.safetensors").exists());
}

/// Adds two tensors that have no place in the model.
fn with_extra_tensors(file: &mut Foreign) {
    let bias = file.tensors["head.bias"].clone();
    file.tensors.insert("rnn.weight_ih_l0_reverse".to_owned(), bias.clone());
    file.tensors.insert("scale".to_owned(), bias);
}

#[test]
fn an_error_names_what_cannot_be_imported() {
    let run = changed();
    let message = |change: &dyn Fn(&mut Foreign), arguments: &str, parts: &[&str]| {
        refuses_import(&run, change, arguments, parts);
    };
    message(
        &|file| file.add("rnn.bias_hh_l0", f32::NAN),
        "",
        &["rnn.bias_hh_l0: found NaN, expected finite numbers"],
    );
    message(&|file| file.add("head.bias", f32::INFINITY), "", &["head.bias: found inf"]);
    message(
        &|file| _ = file.tensors.remove("rnn.weight_hh_l0"),
        "",
        &["rnn.weight_hh_l0: found nothing, expected F32 [64, 16]"],
    );
    message(
        &|file| file.metadata.as_mut().expect("strings").clear(),
        "",
        &["no configuration and vocabulary"],
    );
    for name in ["head.weight", "rnn.weight_hh_l0", "embedding.weight", "rnn.weight_ih_l0"] {
        let flat = |file: &mut Foreign| {
            file.tensors.insert(name.to_owned(), (Dtype::F32, Vec::new(), vec![0; 4]));
        };
        message(&flat, "", &[&format!("{name}: found F32 []")]);
    }
    message(&|_| (), "--activation relu", &["leave --activation and --reset out"]);
}

#[test]
fn sizes_in_the_metadata_are_checked_before_memory_is_allocated() {
    let huge = |file: &mut Foreign| {
        let config =
            file.metadata.as_mut().and_then(|strings| strings.get_mut("config")).expect("a configuration");
        *config = config.replace("\"hidden\":16", "\"hidden\":400000000");
    };
    let parts = ["embedding.weight: found F32 [29, 16], expected F32 [29, 400000000]"];
    refuses_import(&changed(), huge, "", &parts);
}

#[test]
fn tensors_without_a_place_must_be_ignored_by_name() {
    let run = changed();
    let message =
        |arguments: &str, parts: &[&str]| refuses_import(&run, with_extra_tensors, arguments, parts);
    message(
        "",
        &[
            "tensor rnn.weight_ih_l0_reverse F32",
            "has no place in the model, nor have 1 more",
            "--ignore NAME",
        ],
    );
    message("--ignore rnn.*", &["rnn.weight_ih_l0: found --ignore for it", "leave that --ignore out"]);
    message("--ignore scal", &["tensor scal: found nothing, expected a tensor to ignore"]);
    let (home, mut file) = run;
    let all = "--ignore scale --ignore rnn.weight_ih_l0_reverse";
    with_extra_tensors(&mut file);
    file.save(&home, "changed.safetensors");
    let table = stdout(&import(&home, &format!("changed.safetensors --out new.safetensors {all}")).success());
    assert_eq!(table.matches("  ignored\n").count(), 2, "{table}");
    home.run("train text.txt --hidden 8 --batch 4 --steps 8 --max-steps 3 --out small").success();
    let assert = import(&home, &format!("changed.safetensors --out other.safetensors --like small {all}"));
    refused(assert, 1, &["other layers or symbols than the run given by --like"]);
}

#[test]
fn an_error_names_other_file_formats() {
    let home = Home::new();
    let message =
        ["cannot write none/new.safetensors: No such file or directory (os error 2); check the name"];
    home.train("--out here").success();
    refused(import(&home, "here/best.safetensors --out none/new.safetensors"), 1, &message);
    for (name, start, kind) in [
        ("net.pt", &b"PK\x03\x04rest"[..], "a pickle of Python objects"),
        ("net.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ] {
        home.write(name, start);
        refused(
            import(&home, &format!("{name} --out new.safetensors")),
            1,
            &[name, kind, "expected safetensors, ONNX, or RTNeural's JSON"],
        );
    }
    refused(import(&home, "text.txt --out new.safetensors"), 1, &["text.txt: found another format"]);
    refused(import(&home, "none.safetensors --out new.safetensors"), 1, &["cannot read none.safetensors"]);
    refused(import(&home, "text.txt"), 2, &["--out"]);
}

#[test]
fn the_layers_of_a_state_dict_are_derived_from_the_shapes() {
    let home = Home::new();
    home.train("--out like").success();
    for (run, like, flags, layers) in [
        ("--hidden 8 --layers 3 --embedding 5", "like", "", "LSTM of 8, LSTM of 8, LSTM of 8"),
        ("--cell gru --hidden 12 --input one-hot", "like", "", "GRU of 12"),
        ("--cell rnn --activation relu --hidden 9", "like", "--activation relu", "RNN of 9"),
        ("--layer hidden=8,projection=3 --layer cell=\"gru\",hidden=6", "like", "", "LSTM of 8, GRU of 6"),
    ] {
        let _ = fs::remove_dir_all(home.path("here"));
        home.run(&format!("train text.txt --batch 4 --steps 8 --max-steps 3 --threads 1 --out here {run}"))
            .success();
        Foreign::load(&home, "here/checkpoint.safetensors").weights().save(&home, "weights.safetensors");
        if !flags.is_empty() {
            let message = ["no shape tells its activation; give --activation tanh or relu"];
            refused(
                import(&home, &format!("weights.safetensors --out new.safetensors --like {like}")),
                1,
                &message,
            );
        }
        let assert = import(
            &home,
            &format!("weights.safetensors --out new.safetensors --replace --like {like} {flags}"),
        );
        let message = stderr(&assert.success());
        assert!(message.contains(&format!("layers found from the shapes: {layers};")), "{message}");
        let sample = |of: &str| stdout(&home.run(&format!("sample {of} --length 80")).success());
        assert_eq!(sample("new.safetensors"), sample("here/checkpoint.safetensors"), "{run}");
        fs::remove_file(home.path("new.safetensors")).expect("a file");
    }
    for name in
        ["rnn.weight_hh_l0", "embedding.weight", "rnn.weight_ih_l0", "head.weight", "rnn.weight_hr_l0"]
    {
        let mut file = Foreign::load(&home, "here/checkpoint.safetensors").weights();
        file.tensors.insert(name.to_owned(), (Dtype::F32, Vec::new(), vec![0; 4]));
        file.save(&home, "weights.safetensors");
        let assert = import(&home, "weights.safetensors --out new.safetensors --like like");
        refused(assert, 1, &["cannot import weights.safetensors: ", name]);
    }
    Foreign::load(&home, "here/checkpoint.safetensors").weights().save(&home, "weights.safetensors");
    let message = ["--reset is for a layer of kind GRU, and it has none"];
    refused(
        import(&home, "weights.safetensors --out new.safetensors --like like --activation tanh"),
        1,
        &["--activation"],
    );
    Foreign::load(&home, "like/checkpoint.safetensors").weights().save(&home, "weights.safetensors");
    refused(
        import(&home, "weights.safetensors --out new.safetensors --like like --reset after"),
        1,
        &message,
    );
}

#[test]
fn prefixes_and_missing_biases_are_accepted() {
    let (home, file) = changed();
    let mut wrapped = file.weights();
    wrapped.tensors =
        wrapped.tensors.into_iter().map(|(name, tensor)| (format!("model.net.{name}"), tensor)).collect();
    wrapped.save(&home, "wrapped.safetensors");
    let table = stdout(&import(&home, "wrapped.safetensors --out new.safetensors --like here").success());
    assert!(table.contains("model.net.head.bias") && table.contains("  head.bias\n"), "{table}");
    wrapped.tensors.retain(|name, _| !name.contains("bias"));
    wrapped.save(&home, "wrapped.safetensors");
    let message =
        stderr(&import(&home, "wrapped.safetensors --out new.safetensors --like here --replace").success());
    assert!(message.contains("head.bias is absent in the file: zeros"), "{message}");
    assert!(message.contains("rnn.bias_hh_l0 is absent in the file: zeros"), "{message}");
    let new = Foreign::load(&home, "new.safetensors");
    assert!(new.tensors["rnn.bias_ih_l0"].2.iter().all(|byte| *byte == 0));
    home.write("other.txt", "other symbols, and fewer of them. ".repeat(30));
    home.run("train other.txt --hidden 16 --batch 2 --steps 4 --max-steps 2 --out other").success();
    let assert = import(&home, "wrapped.safetensors --out new.safetensors --like other --replace");
    refused(assert, 1, &["head.weight has", "but the vocabulary has"]);
}
