//! The checks of a layer's options.

use super::{Highway, Layer};
use crate::Result;
use crate::settings::{
    Cell,
    decimal::{Number, shortest},
    range::{below_one, require},
};
use std::fmt::Display;

fn number(value: f32) -> Number {
    Number(shortest(value))
}

impl Layer {
    /// Checks each option, and combinations of options, for inputs of width `inputs`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid option.
    pub fn validate(&self, inputs: usize) -> Result<()> {
        if let Some(custom) = &self.custom {
            custom.validate(inputs)?;
        }
        self.validate_alone()?;
        let read = self.input_size.unwrap_or(inputs);
        require(read == inputs, "input-size", read, format!("the layer has {inputs} inputs"))?;
        let same = |name, wanted: bool| {
            let width = self.direction_size();
            let each = if self.bidirectional { " in each direction" } else { "" };
            let expected =
                format!("the layer has {inputs} inputs and {width} outputs{each}, which must be equal");
            require(!wanted || width == inputs, name, wanted, &expected)
        };
        same("residual", self.residual)?;
        same("highway", self.highway != Highway::Off)
    }

    /// Checks the options that do not depend on the width of the inputs.
    pub(in crate::settings) fn validate_alone(&self) -> Result<()> {
        let some = self.hidden >= 1 || self.custom.is_some();
        require(some, "hidden", self.hidden, "give a whole number of at least 1")?;
        let finite = self.forget_bias.is_finite();
        require(finite, "forget-bias", self.forget_bias, "give a finite number")?;
        let gru = self.cell == Cell::Gru && self.custom.is_none();
        let biased = self.gate_bias == 0.0 || (gru && self.gate_bias.is_finite());
        require(
            biased,
            "gate-bias",
            number(self.gate_bias),
            "give a finite number; it applies to cell = gru only",
        )?;
        self.validate_lstm()?;
        self.validate_shares()?;
        let both = self.residual && self.highway != Highway::Off;
        require(!both, "highway", true, "a layer is either highway or residual; choose one")
    }

    fn validate_lstm(&self) -> Result<()> {
        let lstm = self.cell == Cell::Lstm && self.custom.is_none();
        let only = |name, found: Option<&dyn Display>| {
            let expected = "it applies to cell = lstm only; leave it out, or use that cell";
            found.filter(|_| !lstm).map_or(Ok(()), |found| require(false, name, found, expected))
        };
        let switched = |on: bool| on.then_some(&true as &dyn Display);
        only("peepholes", switched(self.peepholes))?;
        only("cell-clip", self.cell_clip.as_ref().map(|clip| clip as &dyn Display))?;
        only("projection", self.projection.as_ref().map(|width| width as &dyn Display))?;
        only("coupled", switched(self.coupled))?;
        only("layer-norm", switched(self.layer_norm))?;
        only("zoneout-cell", Some(&self.zoneout_cell as &dyn Display).filter(|_| self.zoneout_cell != 0.0))?;
        for (name, clip) in [("cell-clip", self.cell_clip), ("projection-clip", self.projection_clip)] {
            let clip = clip.unwrap_or(1.0);
            require(clip > 0.0 && clip.is_finite(), name, number(clip), "give a finite number above 0")?;
        }
        if let Some(width) = self.projection {
            let most = self.hidden.saturating_mul(4);
            let expected =
                format!("give 1 to {most}: more than four times the {} units adds nothing", self.hidden);
            require((1..=most).contains(&width), "projection", width, &expected)?;
        }
        let unused = self.projection_clip.is_some() && self.projection.is_none();
        require(!unused, "projection-clip", self.projection_clip.unwrap_or(0.0), "it requires a projection")?;
        let plain = Self { layer_norm: false, ..self.clone() };
        let alone = !self.layer_norm || !plain.is_extended();
        require(alone, "layer-norm", true, "a cell with layer-norm has no other options; leave them out")
    }

    fn validate_shares(&self) -> Result<()> {
        let kept = [
            ("input-keep-prob", self.input_keep_prob),
            ("output-keep-prob", self.output_keep_prob),
            ("state-keep-prob", self.state_keep_prob),
        ];
        for (name, share) in kept {
            require(
                share > 0.0 && share <= 1.0,
                name,
                number(share),
                "give a probability above 0 and at most 1",
            )?;
        }
        for (name, share) in [("zoneout", self.zoneout), ("zoneout-cell", self.zoneout_cell)] {
            below_one(name, shortest(share))?;
        }
        Ok(())
    }
}
