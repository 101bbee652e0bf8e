// Chooses an evaluation by its step: a slider, and buttons for the one before and after.
import { t } from '../i18n/index.ts';
import { formatNumber } from '../lib/format.ts';

interface StepSliderProps {
  steps: readonly number[];
  /** index into steps */
  place: number;
  onPlace: (place: number) => void;
}

export function StepSlider({ steps, place, onPlace }: StepSliderProps) {
  const words = t.value.predictions;
  const last = steps.length - 1;
  return (
    <>
      <label>
        {words.step} <b class="number step-value">{formatNumber(steps[place])}</b>
        <input
          type="range"
          min="0"
          max={last}
          step="1"
          value={place}
          disabled={last < 1}
          aria-valuetext={String(steps[place])}
          onInput={(event) => onPlace(event.currentTarget.valueAsNumber)}
        />
      </label>
      <span class="stepper">
        <button
          type="button"
          class="icon"
          disabled={place === 0}
          onClick={() => onPlace(place - 1)}
          aria-label={words.previous}
          title={words.previous}
        >
          <span aria-hidden="true">‹</span>
        </button>
        <button
          type="button"
          class="icon"
          disabled={place === last}
          onClick={() => onPlace(place + 1)}
          aria-label={words.next}
          title={words.next}
        >
          <span aria-hidden="true">›</span>
        </button>
      </span>
    </>
  );
}
