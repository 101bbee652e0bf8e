// The page's start.
import { render } from 'preact';
import { startLive } from './lib/live.ts';
import { App } from './shell/app.tsx';

startLive();
render(<App />, document.getElementById('app')!);
