//! Products and sums of them.

/// Returns sum + `a[0]` `b[0]` + `a[1]` `b[1]` + ..., rounded once after each product.
pub fn chain<'a>(sum: f32, a: &'a [f32], b: &'a [f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "the two vectors of a product differ in length");
    a.iter().zip(b).fold(sum, |sum, (a, b)| a.mul_add(*b, sum))
}

/// Returns `y[m][n]` = `start[m][n]` + `x[m]` . `weight[n]`, for x [M, K], weight [N, K] and start
/// [M, N].
pub fn affine(depth: usize, x: &[f32], weight: &[f32], start: &[f32]) -> Vec<f32> {
    let outputs = weight.len() / depth;
    let element = |(i, sum): (usize, &f32)| {
        let (m, n) = (i / outputs, i % outputs);
        chain(*sum, &x[m * depth..][..depth], &weight[n * depth..][..depth])
    };
    start.iter().enumerate().map(element).collect()
}

/// Returns `dW[n][k]` and `db[n]`, m ascending, for delta [M, N] and x [M, K].
pub fn weight_gradient(outputs: usize, depth: usize, delta: &[f32], x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut weight, mut bias) = (vec![0.0f32; outputs * depth], vec![0.0f32; outputs]);
    for (delta, x) in delta.chunks_exact(outputs).zip(x.chunks_exact(depth)) {
        for n in 0..outputs {
            bias[n] += delta[n];
            for k in 0..depth {
                weight[n * depth + k] = delta[n].mul_add(x[k], weight[n * depth + k]);
            }
        }
    }
    (weight, bias)
}

/// Returns the sums of delta [M, N] in the table rows `ids` [D, N], and in one row `[N]`.
pub fn scatter(rows: usize, width: usize, delta: &[f32], ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut table, mut sum) = (vec![0.0f32; rows * width], vec![0.0f32; width]);
    for (delta, id) in delta.chunks_exact(width).zip(ids) {
        for n in 0..width {
            table[*id as usize * width + n] += delta[n];
            sum[n] += delta[n];
        }
    }
    (table, sum)
}
