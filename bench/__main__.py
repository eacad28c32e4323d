"""`python -m bench`: every measurement against other software, in one run."""

from bench import generation, gpt, grading, tokenizer, training

if __name__ == "__main__":
    tokenizer.main()
    gpt.main()
    generation.main()
    training.main()
    grading.main()
