// Whether the page is live.
import { t } from '../i18n/index.ts';
import { connected } from '../lib/live.ts';

export function Connection() {
  const words = t.value;
  return (
    <span
      class={`connection ${connected.value ? 'on' : 'off'}`}
      role="status"
      title={connected.value ? words.liveHint : words.offlineHint}
    >
      {connected.value ? words.live : words.offline}
    </span>
  );
}
