// The cards that are compiled for, and what of each the verdicts need.

/**
 * `units`: compute units or multiprocessors of the largest card of that chip; `simds` of each; `lanes` of a wave. NVIDIA's compiler does not
 * tell how many waves fit, which follows from `registers` and `shared` of a multiprocessor, and `waves` and `groups` at most.
 */
export const CARDS = {
  navi31: { maker: 'amd', is: 'Radeon RX 7900 XTX (RDNA 3)', units: 96, simds: 2, lanes: 32 },
  navi21: { maker: 'amd', is: 'Radeon RX 6900 XT (RDNA 2)', units: 80, simds: 2, lanes: 32 },
  vega10: { maker: 'amd', is: 'Radeon RX Vega 64 (GCN 5)', units: 64, simds: 4, lanes: 64 },
  nv162: {
    maker: 'nvidia',
    is: 'GeForce RTX 2080 Ti (Turing)',
    units: 68,
    simds: 4,
    lanes: 32,
    registers: 65536,
    shared: 65536,
    waves: 32,
    groups: 16,
  },
  nv176: {
    maker: 'nvidia',
    is: 'GeForce RTX 3060 (Ampere)',
    units: 28,
    simds: 4,
    lanes: 32,
    registers: 65536,
    shared: 102400,
    waves: 48,
    groups: 16,
  },
}

/** Waves of a kernel that a compute unit holds at once. */
export function residentWaves(card, { registers, shared = 0, waves }, workgroup) {
  const perGroup = Math.ceil(workgroup / card.lanes)
  if (card.maker === 'amd') return waves * card.simds
  const byRegisters = Math.floor(card.registers / (card.lanes * 8 * Math.ceil(Math.max(registers, 16) / 8)))
  const byShared = shared ? Math.floor(card.shared / shared) : card.groups
  const groups = Math.min(card.groups, byShared, Math.floor(Math.min(byRegisters, card.waves) / perGroup))
  return groups * perGroup
}
