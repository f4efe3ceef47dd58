// A slider with its label, its value in words and units, and a way back to where it started. Emits "change" with the number.
let count = 0;

export default {
  template: `
    <div class="dial" :class="{'dial--moved': number !== home, 'dial--off': disabled}">
      <div class="dial__head">
        <label :for="uid">{{ label }}</label>
        <output :for="uid">{{ words }}</output>
        <button type="button" class="dial__reset" :disabled="number === home || disabled" @click="reset"
          :aria-label="'Reset ' + label" :title="'Reset ' + label">
          <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 3v4h4M3.6 7A5 5 0 1 1 4 11.2" /></svg>
        </button>
      </div>
      <input type="range" :id="uid" :min="low" :max="high" :step="step" :value="shown" :disabled="disabled"
        :aria-valuetext="words" :style="{'--from': fill[0], '--to': fill[1]}" @input="moved" @dblclick="reset" />
    </div>`,
  emits: ["change"],  // declared, so that the inner input's own event is not taken for it
  props: {
    label: String, min: Number, max: Number, step: Number, home: Number, factor: Number, digits: Number, unit: String,
    less: String, more: String, flip: Boolean, disabled: Boolean,
  },
  data() {
    return { number: this.home, uid: "dial-" + ++count };
  },
  computed: {
    // flip: the right end of the slider is the smallest number, so that dragging goes the way the picture goes
    low() { return this.flip ? -this.max : this.min; },
    high() { return this.flip ? -this.min : this.max; },
    shown() { return this.flip ? -this.number : this.number; },
    words() {
      const amount = this.number * this.factor;
      if (!this.less) return amount.toFixed(this.digits) + this.unit;
      const size = Math.abs(amount).toFixed(this.digits);
      return size + this.unit + (Number(size) === 0 ? "" : " " + (amount < 0 ? this.less : this.more));
    },
    fill() {
      const place = (v) => ((v - this.low) / (this.high - this.low)) * 100;
      const ends = [place(this.flip ? -this.home : this.home), place(this.shown)].sort((a, b) => a - b);
      return ends.map((p) => p + "%");
    },
  },
  methods: {
    moved(event) { this.put(this.flip ? -Number(event.target.value) : Number(event.target.value)); },
    reset() { this.put(this.home); },
    put(value) {
      this.number = value;
      this.$emit("change", value);
    },
    set(value) { this.number = value; },
  },
};
