//! throwaway
use unrolled::*; use unrolled::model::*; use unrolled::rnn::*; use unrolled::exec::{Plan, Dynamic, Stream}; use unrolled::checkpoint::*; use unrolled::train::*; use unrolled::corpus::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
fn t<T: std::fmt::Debug>(name: &str, f: impl FnOnce() -> T) { match catch_unwind(AssertUnwindSafe(f)) { Ok(v) => { let s = format!("{v:?}"); println!("{name}: {}", s.chars().take(300).collect::<String>()) } Err(e) => println!("{name}: PANIC {:?}", e.downcast_ref::<String>()) } }
fn main() {
  // run-time forget bias through checkpoint save/load: logits before and after
  let corpus = || Corpus::from_text("the cat sat on the mat. ".repeat(40), Unit::Char).unwrap();
  for at in [ForgetBiasAt::Initial, ForgetBiasAt::RunTime] {
    let s = Settings { hidden: 12, layers: 2, forget_bias: 1.5, forget_bias_at: at, bias: Bias::Single, batch: 3, steps: 5, max_steps: Some(6), epochs: 99.0, ..Settings::default() };
    let mut tr = Training::new(corpus(), s, Some(1)).unwrap(); while !tr.is_done() { tr.step().unwrap(); }
    let p = std::env::temp_dir().join("p5.safetensors"); tr.checkpoint().save(&p).unwrap();
    let c = Checkpoint::load(&p).unwrap(); let m = c.model().unwrap();
    let ids: Vec<u32> = (0..20).map(|i| i % 12).collect();
    let v = m.config().vocabulary; let run = |m: &Model| { let mut l = vec![0.0; 20 * v]; Plan::new(m, 20, 1, Some(1)).unwrap().forward(&ids, &mut l); l };
    let a = run(tr.model()); let b = run(&m); let mut st = Stream::new(&m).unwrap(); let c2: Vec<f32> = ids.iter().flat_map(|i| st.step(*i).to_vec()).collect();
    println!("{at:?} same {} {}", a == b, a == c2);
    // against naive: with RunTime the same params and initial must differ
    let mut cfg = m.config().clone(); cfg.stack.iter_mut().for_each(|l| l.forget_bias_at = ForgetBiasAt::Initial);
    let m2 = Model::with_parameters(cfg, m.parameters().clone()).unwrap(); println!("differs from initial: {}", run(&m2) != a);
  }
  t("residual-first one-hot plan", || { let s = Settings { stack: vec![Layer { residual: true, ..Layer::gru(12) }], input: InputKind::OneHot, ..Settings::default() }; let m = Model::new(&s, 12).unwrap(); let mut l = vec![0.0; 24]; Plan::new(&m, 2, 1, None).unwrap().forward(&[1, 2], &mut l); l[0].is_finite() });
  t("with_parameters config unchecked", || { let mut c = ModelConfig::of_stack(&[Layer::lstm(3)], 2, Bias::Double).unwrap(); c.stack[0].input_keep_prob = f32::NAN; let p = Parameters::zeros(c.layout()); Model::with_parameters(c, p).map(|_| ()).map_err(|e| e.to_string()) });
  t("with_parameters hidden0", || { let mut c = ModelConfig::of_stack(&[Layer::lstm(3)], 2, Bias::Double).unwrap(); c.stack[0].hidden = 0; let p = Parameters::zeros(c.layout()); Model::with_parameters(c, p).map(|m| { Rnn::new(m, Some(1)).map(|_| ()).map_err(|e| e.to_string()) }).map_err(|e| e.to_string()) });
  t("with_parameters custom unresolved", || { let mut c = ModelConfig::of_stack(&[Layer::lstm(3)], 2, Bias::Double).unwrap(); c.stack[0].custom = Some(CustomCell::from("x".to_string())); let p = Parameters::zeros(c.layout()); Model::with_parameters(c, p).map(|m| { let mut r = Rnn::new(m, Some(1)).unwrap(); let mut o = vec![]; r.forward(&Window::new(1,1,&[0.0,0.0]), &mut o).map_err(|e| e.to_string()) }).map_err(|e| e.to_string()) });
  t("plan on a stack w/o head", || { let m = Model::of_stack(&[Layer::lstm(3)], 2, &Settings::default()).unwrap(); let mut l = vec![]; Plan::new(&m, 1, 1, Some(1)).map(|mut p| p.forward(&[0], &mut l)).map_err(|e| e.to_string()) });
  t("dynamic on a stack w/o head", || { let m = Model::of_stack(&[Layer::lstm(3)], 2, &Settings::default()).unwrap(); Dynamic::new(&m, Some(1)).map(|_| ()).map_err(|e| e.to_string()) });
  t("stream on a stack w/o head", || { let m = Model::of_stack(&[Layer::lstm(3)], 2, &Settings::default()).unwrap(); Stream::new(&m).map(|_| ()).map_err(|e| e.to_string()) });
  t("differentiator on a stack w/o head", || { let m = Model::of_stack(&[Layer::lstm(3)], 2, &Settings::default()).unwrap(); Differentiator::new(m, Some(1)).map(|_| ()).map_err(|e| e.to_string()) });
  t("rnn of a model with head", || { let m = Model::new(&Settings::default(), 5).unwrap(); Rnn::new(m, Some(1)).map(|_| ()).map_err(|e| e.to_string()) });
  t("check_gradients hidden 0", || check_gradients(&[Layer::lstm(0)], 2, 1).map(|_| ()).map_err(|e| e.to_string()));
  t("state huge rows", || { let m = Model::of_stack(&[Layer::lstm(3)], 2, &Settings::default()).unwrap(); let mut r = Rnn::new(m, Some(1)).unwrap(); let s = State { rows: 1, layers: vec![] }; let mut o = [0.0; 3]; r.forward(&Window { initial: Some(&s), ..Window::new(1, 1, &[0.0, 0.0]) }, &mut o).map_err(|e| e.to_string()) });
  t("reset_row", || { let m = Model::of_stack(&[Layer::gru(3)], 2, &Settings::default()).unwrap(); let mut s = State::zero(m.config(), 2); s.reset_row(1); 1 });
  t("training with stack huge", || Training::new(corpus(), Settings { stack: vec![Layer::lstm(1 << 24)], ..Settings::default() }, Some(1)).map(|_| ()).map_err(|e| e.to_string()));
  t("settings validate stack", || Settings { stack: vec![Layer { zoneout: f32::NAN, ..Layer::gru(3) }], ..Settings::default() }.validate().map_err(|e| e.to_string()));
}
