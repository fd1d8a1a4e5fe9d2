// A small Debian with Mesa's drivers in the cache folder, and commands run in it against a card that is not there: the driver compiles as on
// the card, over a kernel driver that does nothing. Nothing is installed beside that folder; the mounts live in a mount namespace of their own.
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeInCache } from '../../dist/src/gpu/cache-folder.js'

const PACKAGES = 'mesa-vulkan-drivers,mesa-drm-shim,libvulkan1'
const RELEASE = 'trixie'
const LIBRARIES = '/usr/lib/x86_64-linux-gnu'
const DRIVERS = '/usr/share/vulkan/icd.d'

const found = name => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0

/** Why the lab cannot run here, or nothing. */
export function missing() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it needs Linux on x64'
  if (process.getuid() !== 0) return 'it needs root, to make a Debian tree and to mount folders in it'
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0)
    return 'mount namespaces are not to be had (unshare --mount fails)'
  return undefined
}

const folder = () => process.env.GPU_LAB || makeInCache('the lab', cache => join(cache, 'gpu-lab'))

/** The tree, which the first call makes in some minutes; or why it cannot be had. */
export function tree(say) {
  const root = folder()
  if (!existsSync(join(root, LIBRARIES, 'libamdgpu_noop_drm_shim.so'))) {
    say('making a small Debian with the drivers, which takes some minutes')
    if (!found('debootstrap') && !install('debootstrap')) return { why: 'debootstrap cannot be installed' }
    const passing = `${root}.${process.pid}`
    mkdirSync(passing, { recursive: true })
    const args = ['--variant=minbase', `--include=${PACKAGES}`, RELEASE, passing]
    const { status } = spawnSync('debootstrap', args, { stdio: ['ignore', 2, 2] })
    if (status !== 0) {
      rmSync(passing, { recursive: true, force: true })
      return { why: "Debian's packages cannot be had (debootstrap failed)" }
    }
    rmSync(root, { recursive: true, force: true })
    renameSync(passing, root)
  }
  mkdirSync(join(root, 'lab'), { recursive: true })
  copyFileSync(process.execPath, join(root, 'usr/bin/node'))
  return { root }
}

function install(name) {
  if (!found('apt-get')) return false
  return spawnSync('apt-get', ['install', '-y', name], { stdio: ['ignore', 2, 2] }).status === 0
}

/** What makes the drivers take the machine for one with that card, and tell what they compile. */
function environment({ name, maker }) {
  const own = {
    amd: {
      AMDGPU_GPU_ID: name,
      RADV_DEBUG: 'shaderstats',
      LD_PRELOAD: `${LIBRARIES}/libamdgpu_noop_drm_shim.so`,
      VK_ICD_FILENAMES: `${DRIVERS}/radeon_icd.json`,
    },
    nvidia: {
      NOUVEAU_CHIPSET: `0x${name.slice(2)}`,
      NAK_DEBUG: 'print',
      LD_PRELOAD: `${LIBRARIES}/libnouveau_noop_drm_shim.so`,
      VK_ICD_FILENAMES: `${DRIVERS}/nouveau_icd.json`,
    },
  }
  return {
    HOME: '/tmp',
    XDG_RUNTIME_DIR: '/tmp',
    KERNELGRAD_ADAPTER: 'hardware',
    KERNELGRAD_TUNING: 'off',
    MESA_SHADER_CACHE_DISABLE: 'true',
    ...own[maker],
  }
}

const MOUNTS = `set -e; root=$1; folder=$2; shift 2
mount --bind "$folder" "$root/lab"; mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"
exec chroot "$root" env -C /lab "$@"`

/** Runs node in the tree with `folder` as its working directory, on a card; the process's streams are the caller's. */
export function start({ root, folder, card, forms, args }) {
  const variables = Object.entries({ ...environment(card), KERNELGRAD_FORMS: forms }).map(pair =>
    pair.join('='),
  )
  return spawn(
    'unshare',
    ['--mount', 'bash', '-c', MOUNTS, '-', root, folder, ...variables, 'node', ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
}
