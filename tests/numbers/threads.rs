//! Threads: invalid numbers, and pools that models share.

use super::{batch, gradients, model, run_of, text};
use unrolled::exec::{Dynamic, Plan};
use unrolled::model::Model;
use unrolled::network::{Layer, Network, Window};
use unrolled::optim::Optimizer;
use unrolled::train::{Training, evaluate};
use unrolled::{ModelSettings, Settings};

#[test]
fn zero_and_absurd_thread_counts_are_errors() {
    let settings = Settings {
        model: ModelSettings { hidden: 5, ..run_of(&Settings::default(), 0.0).model },
        ..run_of(&Settings::default(), 0.0)
    };
    let (model, batch) = (model(&settings, 40), batch(2, 3, 40));
    for count in [0, 1025, usize::MAX] {
        let threads = Some(count);
        let errors = [
            Plan::new(model.clone(), 2, 3, threads).err(),
            Dynamic::new(model.clone(), threads).err(),
            Training::new(text(2000), settings.clone(), threads).err(),
            gradients(model.clone(), &batch, None, threads).err(),
            Optimizer::new(&settings.optimizer, 9, threads).err(),
            evaluate(model.clone(), &text(2000), 0..100, 3, threads).err(),
        ];
        for error in errors {
            let message = error.expect("refused").to_string();
            let expected = format!("threads = {count} is invalid: give a number from 1 to 1024");
            assert_eq!(message, expected);
        }
    }
    assert_eq!(Training::new(text(2000), settings, Some(3)).unwrap().threads(), 3);
}

fn rnn(hidden: usize, threads: usize) -> Network {
    Network::new(Model::of_layers(&[Layer::lstm(hidden)], 8, None, 1).unwrap(), Some(threads)).unwrap()
}

/// Other tests of this process start a few threads at the same time.
#[cfg(target_os = "linux")]
#[test]
fn three_hundred_models_share_their_threads() {
    let count = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    let before = count();
    let models: Vec<Network> = (0..300).map(|_| rnn(4, 2)).collect();
    assert!(count() < before + 100, "{before} threads before, {} now", count());
    drop(models);
}

/// Many models at once, with windows that threads divide, give the bits of one thread.
#[test]
fn models_of_several_threads_run_on_one_pool() {
    let (steps, rows, hidden) = (12, 24, 40);
    let inputs: Vec<f32> = (0..steps * rows * 8).map(|i| (i as f32 * 0.37).sin()).collect();
    let run = &|threads: usize| {
        let mut rnn = rnn(hidden, threads);
        let mut outputs = vec![0.0; steps * rows * hidden];
        for _ in 0..5 {
            rnn.forward(&Window::new(steps, rows, &inputs), &mut outputs).unwrap();
            rnn.backward(&vec![1.0; outputs.len()], None).unwrap();
        }
        (super::bits(&outputs), super::bits(&rnn.gradient().values))
    };
    let alone = run(1);
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..16).map(|user| scope.spawn(move || (user, run(2 + user % 2)))).collect();
        for user in users {
            let (user, found) = user.join().unwrap();
            assert_eq!(found, alone, "user {user}");
        }
    });
}
