//! EventProto files that TensorBoard shows: records of TensorFlow's `tfrecord` framing, each a message of its `event.proto`.

use super::super::{
    config::table_of,
    failure::Failure,
    run_folder::{AppendedFile, CurvePoint, SampleRecord, now},
};
use prost::Message;
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{Settings, train::Record};

/// How the names of event files begin, which TensorBoard looks for, and how those of this program end.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".unrolled";

/// All that there is to tell of a run.
pub struct EventSource<'a> {
    /// The training curve.
    pub steps: &'a [CurvePoint],
    /// The evaluations.
    pub history: &'a [Record],
    /// The texts.
    pub samples: &'a [SampleRecord],
    /// The settings.
    pub settings: &'a Settings,
}

/// The event file of a run. A process writes one of its own, which begins with all that was before it, and which takes the
/// place of those of earlier processes: so a resumed run has neither gaps nor doubles.
pub struct EventFile {
    file: AppendedFile,
    folder: PathBuf,
    /// Steps, evaluations and samples in the file.
    written: [usize; 3],
}

impl EventFile {
    /// In this folder; nothing is written yet.
    pub fn new(folder: &Path) -> Self {
        Self { file: AppendedFile::at(fresh(folder)), folder: folder.to_owned(), written: [0; 3] }
    }

    /// Brings the file to what is told, in `folder`.
    pub fn write(&mut self, folder: &Path, told: &EventSource) -> Result<(), Failure> {
        if self.folder != folder {
            self.folder = folder.to_owned();
            self.file.move_to(folder);
        }
        let all = [told.steps.len(), told.history.len(), told.samples.len()];
        if self.file.is_intact() && all == self.written {
            return Ok(());
        }
        if !self.file.is_intact() {
            // Under another name: in a file that it knows TensorBoard goes on where it stopped, whatever is there by now.
            self.file = AppendedFile::at(fresh(&self.folder));
            self.file.replace(&whole(told))?;
            self.empty_earlier();
        } else {
            let mut bytes = Vec::new();
            told.write_after(self.written, &mut bytes);
            self.file.append(&bytes)?;
        }
        self.written = all;
        Ok(())
    }

    /// What is in other files of this run is in this one, too. They stay, without their content: from a file that is gone
    /// TensorBoard's loader does not go on to the next.
    fn empty_earlier(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let earlier = entries
            .filter(|entry| entry.path() != self.file.path() && entry.file_name().to_str().is_some_and(ours));
        // One that keeps its content takes some room, and nothing else: this one's first event revokes it.
        earlier.for_each(|entry| _ = fs::File::create(entry.path()));
    }
}

/// A file that is not there yet. Among the files of a folder TensorBoard reads the last in alphabetical order; hence ten
/// digits of time and nine of its fraction.
fn fresh(folder: &Path) -> PathBuf {
    let (time, id) = (now(), std::process::id());
    folder.join(format!("{PREFIX}{:010}.{:09}.{id}{SUFFIX}", time as u64, (time.fract() * 1e9) as u64))
}

/// A file from its beginning: the version, a session that starts (what TensorBoard has seen of an earlier file it then
/// drops), the settings, and everything told.
fn whole(told: &EventSource) -> Vec<u8> {
    let time = told.steps.first().map_or_else(now, |step| step.time);
    let mut bytes = Vec::new();
    frame(
        &EventProto { wall_time: time, file_version: Some("brain.Event:2".into()), ..EventProto::default() },
        &mut bytes,
    );
    let start = SessionLogProto { status: SESSION_START };
    frame(&EventProto { wall_time: time, session_log: Some(start), ..EventProto::default() }, &mut bytes);
    let settings = table_of(told.settings).map(|table| table.to_string()).unwrap_or_default();
    frame(&event(0, time, vec![text("settings", &indented(&settings))]), &mut bytes);
    told.write_after([0; 3], &mut bytes);
    bytes
}

impl EventSource<'_> {
    /// All but the first so many of each, in the order of their steps within each kind.
    fn write_after(&self, [steps, history, samples]: [usize; 3], bytes: &mut Vec<u8>) {
        for CurvePoint { logged, time } in &self.steps[steps..] {
            let values = vec![
                scalar("loss/training", logged.loss),
                scalar("gradient norm", logged.gradient_norm),
                scalar("learning rate", logged.learning_rate),
                scalar("symbols per second", logged.chars_per_second),
            ];
            frame(&event(logged.step, *time, values), bytes);
        }
        for record in &self.history[history..] {
            let loss = record.val_loss.map(|loss| scalar("loss/validation", loss));
            let accuracy = record.val_accuracy.map(|share| scalar("accuracy/validation", share));
            let values: Vec<_> = loss.into_iter().chain(accuracy).collect();
            frame(&event(record.step, self.time_of(record.step), values), bytes);
        }
        for sample in &self.samples[samples..] {
            let values = vec![text("sample", &indented(&sample.text))];
            frame(&event(sample.step, self.time_of(sample.step), values), bytes);
        }
    }

    /// When a step was done: the time of the last point before it.
    fn time_of(&self, step: u64) -> f64 {
        let after = self.steps.partition_point(|known| known.logged.step <= step);
        self.steps.get(after.saturating_sub(1)).map_or_else(now, |known| known.time)
    }
}

/// The text as a block of Markdown code, which TensorBoard shows as it is.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Appends one record: length and bytes, each with its checksum, which TensorFlow masks.
fn frame(event: &EventProto, bytes: &mut Vec<u8>) {
    let masked = |part: &[u8]| crc32c::crc32c(part).rotate_right(15).wrapping_add(0xa282_ead8);
    let (data, length) = (event.encode_to_vec(), (event.encoded_len() as u64).to_le_bytes());
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(&data);
    bytes.extend(masked(&data).to_le_bytes());
}

fn event(step: u64, wall_time: f64, value: Vec<ValueProto>) -> EventProto {
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    EventProto { wall_time, step, summary: Some(SummaryProto { value }), ..EventProto::default() }
}

fn scalar(tag: &str, value: f64) -> ValueProto {
    ValueProto { tag: tag.into(), simple_value: Some(value as f32), ..ValueProto::default() }
}

fn text(tag: &str, text: &str) -> ValueProto {
    let plugin_data = Some(PluginDataProto { plugin_name: "text".into() });
    let tensor = TensorProto { dtype: DT_STRING, shape: Some(ShapeProto {}), string_val: vec![text.into()] };
    ValueProto {
        tag: tag.into(),
        metadata: Some(MetadataProto { plugin_data }),
        tensor: Some(tensor),
        ..ValueProto::default()
    }
}

const SESSION_START: i32 = 1;
const DT_STRING: i32 = 7;

// The fields used here of TensorFlow's event.proto, summary.proto, tensor.proto and tensor_shape.proto, by their numbers.

#[derive(Clone, PartialEq, Message)]
struct EventProto {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<SummaryProto>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLogProto>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLogProto {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryProto {
    #[prost(message, repeated, tag = "1")]
    value: Vec<ValueProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueProto {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<TensorProto>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<MetadataProto>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataProto {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginDataProto>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginDataProto {
    #[prost(string, tag = "1")]
    plugin_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<ShapeProto>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    string_val: Vec<Vec<u8>>,
}

/// A scalar's.
#[derive(Clone, PartialEq, Message)]
struct ShapeProto {}

#[cfg(test)]
mod tests {
    use super::*;
    use unrolled::train::Logged;

    /// The messages of a file, whose framing is checked.
    fn events(bytes: &[u8]) -> Vec<EventProto> {
        let masked =
            |part: &[u8]| crc32c::crc32c(part).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
        let (mut rest, mut found) = (bytes, Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked(data));
            found.push(EventProto::decode(data).expect("a message"));
            rest = &rest[16 + length..];
        }
        found
    }

    fn step(step: u64) -> CurvePoint {
        let logged = Logged {
            step,
            chars: 10 * step,
            seconds: 1.0,
            loss: 2.5,
            gradient_norm: 1.0,
            learning_rate: 0.1,
            chars_per_second: 1e5,
        };
        CurvePoint { logged, time: 1000.0 + step as f64 }
    }

    fn record(step: u64) -> Record {
        Record {
            step,
            chars: 10 * step,
            seconds: 1.0,
            train_loss: 2.5,
            val_loss: Some(2.25),
            val_accuracy: Some(0.5),
            learning_rate: 0.1,
            chars_per_second: 1e5,
        }
    }

    #[test]
    fn a_file_grows_and_is_written_anew_where_it_must_be() {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::write(home.path().join("events.out.tfevents.0.unrolled"), "of an earlier process")
            .expect("written");
        fs::write(home.path().join("events.out.tfevents.0.other"), "another program's.").expect("written");
        let (steps, history) = ([step(1), step(2), step(3)], [record(2)]);
        let samples = [SampleRecord { step: 2, text: "to be\nor".into() }];
        let settings = Settings::default();
        let told = |count: usize| EventSource {
            steps: &steps[..count],
            history: &history[..count / 2],
            samples: &samples[..count / 2],
            settings: &settings,
        };
        let mut file = EventFile::new(home.path());
        for count in 0..3 {
            file.write(home.path(), &told(count)).expect("written");
        }
        let path = file.file.path().to_owned();
        let read = || events(&fs::read(&path).expect("readable"));
        let steps_of = |found: &[EventProto]| found.iter().map(|event| event.step).collect::<Vec<_>>();
        assert_eq!(steps_of(&read()), [0, 0, 0, 1, 2, 2, 2]);
        let found = read();
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let value =
            |event: usize, value: usize| found[event].summary.as_ref().expect("values").value[value].clone();
        assert_eq!((value(3, 0).tag.as_str(), value(3, 0).simple_value), ("loss/training", Some(2.5)));
        assert_eq!((value(5, 0).tag.as_str(), value(5, 0).simple_value), ("loss/validation", Some(2.25)));
        assert_eq!(value(6, 0).tensor.expect("a text").string_val[0], b"    to be\n    or\n");
        assert_eq!(found[5].wall_time, 1002.0, "of the step before it");
        // Half a record, as a full disk would leave it.
        fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(99)).expect("cut");
        file.write(home.path(), &told(3)).expect("written");
        let anew = file.file.path().to_owned();
        assert!(anew > path, "a name that TensorBoard goes on to: {anew:?} after {path:?}");
        assert_eq!(steps_of(&events(&fs::read(&anew).expect("readable"))), [0, 0, 0, 1, 2, 3, 2, 2]);
        let length = |path: &Path| fs::metadata(path).expect("kept").len();
        assert_eq!((length(&path), length(&home.path().join("events.out.tfevents.0.unrolled"))), (0, 0));
        assert_eq!(length(&home.path().join("events.out.tfevents.0.other")), 18, "another program's");
    }
}
