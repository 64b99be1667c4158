//! Numbers of threads that cannot work.

use super::{batch, model, run_of, text};
use unrolled::Settings;
use unrolled::exec::{Dynamic, Plan};
use unrolled::optim::Optimizer;
use unrolled::train::{Training, evaluate, gradients};

#[test]
fn zero_and_absurd_numbers_are_refused_everywhere() {
    let settings = Settings { hidden: 5, ..run_of(&Settings::default(), 0.0) };
    let (model, batch) = (model(&settings, 40), batch(2, 3, 40));
    for count in [0, 1025, usize::MAX] {
        let threads = Some(count);
        let errors = [
            Plan::new(&model, 2, 3, threads).err(),
            Dynamic::new(&model, threads).err(),
            Training::new(text(2000), settings.clone(), threads).err(),
            gradients(&model, &batch, None, threads).err(),
            Optimizer::new(&settings, 9, threads).err(),
            evaluate(&model, &text(2000), 0..100, 3, threads).err(),
        ];
        for error in errors {
            let message = error.expect("refused").to_string();
            let expected = format!("threads = {count} cannot work: a number of threads from 1 to 1024");
            assert_eq!(message, expected);
        }
    }
    assert_eq!(Training::new(text(2000), settings, Some(3)).unwrap().threads(), 3);
}
