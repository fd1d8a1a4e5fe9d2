// What to do where WebGPU is missing, browser by browser, the reader's own first.
import { byId, make } from './dom.ts'

const HELP: { browser: string; agent: RegExp; text: string }[] = [
  {
    browser: 'Edge',
    agent: /Edg\//,
    text: 'Version 113 or newer has WebGPU on Windows and macOS. On Linux open edge://flags, enable "Unsafe WebGPU Support" and "Vulkan", and restart.',
  },
  {
    browser: 'Firefox',
    agent: /Firefox\//,
    text: 'Version 141 or newer has WebGPU on Windows, 145 or newer on macOS with Apple silicon. Elsewhere open about:config, set dom.webgpu.enabled to true, and restart.',
  },
  {
    browser: 'Chrome on Android',
    agent: /Android.*Chrome\//,
    text: 'Version 121 or newer has WebGPU on Android 12 and newer with a Qualcomm or ARM GPU. Update Chrome, and switch off battery saver.',
  },
  {
    browser: 'Chrome',
    agent: /Chrome\//,
    text: 'Version 113 or newer has WebGPU on Windows, macOS and ChromeOS; see that "Use graphics acceleration when available" is on in Settings, System. On Linux open chrome://flags, enable "Unsafe WebGPU Support" and "Vulkan", and restart.',
  },
  {
    browser: 'Safari',
    agent: /Safari\//,
    text: 'Version 26 or newer has WebGPU, on macOS Tahoe, iOS, iPadOS and visionOS. In version 18 switch it on: Settings, Apps, Safari, Advanced, Feature Flags, WebGPU.',
  },
]

/** Shows what mends it; `why` is what the browser said, if anything. */
export function showNoWebGpu(why?: string): void {
  const own = HELP.find(({ agent }) => agent.test(navigator.userAgent))
  const ordered = own ? [own, ...HELP.filter(help => help !== own)] : HELP
  const insecure = isSecureContext
    ? []
    : [
        make('p', {
          textContent: 'Open this page over https:// or from localhost: browsers hide WebGPU elsewhere.',
        }),
      ]
  const items = ordered.flatMap(({ browser, text }) => [
    make('dt', { textContent: browser === own?.browser ? `${browser} (yours)` : browser }),
    make('dd', { textContent: text }),
  ])
  byId('notice').replaceChildren(
    make('h2', { textContent: 'This browser offers no WebGPU' }),
    make('p', { textContent: 'Training runs on the graphics processor through WebGPU. To get it:' }),
    ...insecure,
    make('dl', {}, items),
    ...(why ? [make('p', { className: 'soft', textContent: `The browser says: ${why}` })] : []),
  )
  byId('notice').hidden = false
  byId('app').hidden = true
}
