"""Cells of TensorFlow 1's tf.contrib.rnn, which TensorFlow 2 no longer has, from their equations as plain operations.

The variables have the names and shapes that contrib's have. `x` is [B, E], `[x; h]` stands for the two side by side.
"""

from graph import tf, v1

LSTMStateTuple = v1.nn.rnn_cell.LSTMStateTuple
EPSILON = 1e-12  # contrib.layers.layer_norm's, for everything but float16


class Lstm(v1.nn.rnn_cell.RNNCell):
    """What the cells below share: a state of c and h, both as wide as the layer."""

    def __init__(self, units, forget_bias=1.0):
        super().__init__()
        self.units, self.forget_bias = units, forget_bias

    @property
    def state_size(self):
        return LSTMStateTuple(self.units, self.units)

    @property
    def output_size(self):
        return self.units

    def product(self, name, inputs, h, gates):
        """[x; h] . kernel, kernel [E + H, gates * H]."""
        joined = tf.concat([inputs, h], 1)
        kernel = v1.get_variable(name, [joined.shape[1], gates * self.units], inputs.dtype)
        return tf.matmul(joined, kernel)


class CoupledInputForgetGateLSTMCell(Lstm):
    """tf.contrib.rnn.CoupledInputForgetGateLSTMCell, after Greff et al., LSTM: A Search Space Odyssey (2015).

    j, f, o = split([x; h] . W + B); with peepholes f += W_F_diag * c and o += W_O_diag * c'
    c' = sigmoid(f + forget_bias) * c + (1 - sigmoid(f + forget_bias)) * tanh(j);   h' = sigmoid(o) * tanh(c')
    """

    def __init__(self, units, forget_bias=1.0, use_peepholes=False):
        super().__init__(units, forget_bias)
        self.use_peepholes = use_peepholes

    def call(self, inputs, state):
        bias = v1.get_variable("B", [3 * self.units], inputs.dtype)
        j, f, o = tf.split(self.product("W", inputs, state.h, 3) + bias, 3, axis=1)
        keep = tf.sigmoid(f + self.forget_bias + self.peephole("W_F_diag", state.c))
        c = keep * state.c + (1 - keep) * tf.tanh(j)
        h = tf.sigmoid(o + self.peephole("W_O_diag", c)) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)

    def peephole(self, name, c):
        return v1.get_variable(name, [self.units], c.dtype) * c if self.use_peepholes else 0.0


class LayerNormBasicLSTMCell(Lstm):
    """tf.contrib.rnn.LayerNormBasicLSTMCell, after Ba et al., Layer Normalization (2016); no dropout of its own.

    i, j, f, o = norm of each of split([x; h] . kernel), which has no bias
    c' = norm(sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j));   h' = sigmoid(o) * tanh(c')
    norm(a) = gamma * (a - mean(a)) / sqrt(variance(a) + EPSILON) + beta, over the units of one row and one gate.
    The state c' that goes on to the next step is the normalised one.
    """

    def call(self, inputs, state):
        i, j, f, o = tf.split(self.product("kernel", inputs, state.h, 4), 4, axis=1)
        i, j, f, o = map(self.norm, (i, j, f, o), ("input", "transform", "forget", "output"))
        c = tf.sigmoid(f + self.forget_bias) * state.c + tf.sigmoid(i) * tf.tanh(j)
        c = self.norm(c, "state")
        h = tf.tanh(c) * tf.sigmoid(o)
        return h, LSTMStateTuple(c, h)

    def norm(self, values, scope):
        gamma = v1.get_variable(f"{scope}/gamma", [self.units], values.dtype)
        beta = v1.get_variable(f"{scope}/beta", [self.units], values.dtype)
        mean, variance = tf.nn.moments(values, [1], keepdims=True)
        return tf.nn.batch_normalization(values, mean, variance, beta, gamma, EPSILON)


class Wrapper(v1.nn.rnn_cell.RNNCell):
    """Around a cell, whose state it shares."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    @property
    def state_size(self):
        return self.cell.state_size

    @property
    def output_size(self):
        return self.cell.output_size


class HighwayWrapper(Wrapper):
    """tf.contrib.rnn.HighwayWrapper, after Srivastava et al., Highway Networks (2015).

    carry = sigmoid(x . carry_w + carry_b); output = carry * x + transform * cell(x), where transform is 1 - carry, or
    when the two are not coupled sigmoid(x . transform_w + transform_b). Both weights are [E, E], and E is H.
    """

    def __init__(self, cell, couple_carry_transform_gates=True):
        super().__init__(cell)
        self.coupled = couple_carry_transform_gates

    def call(self, inputs, state):
        outputs, state = self.cell(inputs, state)
        carry = self.gate("carry", inputs)
        transform = 1 - carry if self.coupled else self.gate("transform", inputs)
        return inputs * carry + outputs * transform, state

    def gate(self, name, inputs):
        width = inputs.shape[1]
        weight = v1.get_variable(f"{name}_w", [width, width], inputs.dtype)
        return tf.sigmoid(tf.matmul(inputs, weight) + v1.get_variable(f"{name}_b", [width], inputs.dtype))


class ZoneoutWrapper(Wrapper):
    """Krueger et al., Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations (2016), equations 2 to 6.

    Each part s of the state becomes d * s + (1 - d) * s', where s' is the cell's. In training d is a mask [T, B, H],
    1 where the old value stays; in inference d is the probability of it. An LSTM's h' is made from the c' that has not
    been zoned out. The output is the new h.
    """

    def __init__(self, cell, zoned):
        """`zoned` has a number or a list of T masks for each part, in the order of the cell's state."""
        super().__init__(cell)
        self.zoned, self.step = zoned, 0

    def call(self, inputs, state):
        _, new = self.cell(inputs, state)
        now = [each[self.step] if isinstance(each, list) else each for each in self.zoned]
        self.step += 1
        parts = zip(now, tf.nest.flatten(state), tf.nest.flatten(new), strict=True)
        mixed = [d * old + (1 - d) * new for d, old, new in parts]
        return mixed[-1], tf.nest.pack_sequence_as(new, mixed)
